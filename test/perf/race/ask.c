//go:build ignore

// ask PORT QUESTIONS RATE BURST WARM SECONDS asks a server on 127.0.0.1 at a fixed
// pace, WARM seconds and then SECONDS more, and tells in JSON how long the answers
// of the latter took.
//
// The loop is open: what is sent when is settled before the start, and an answer
// that is late delays no question. Its time counts from the moment the question was
// to be sent, so that neither a server nor this program can hide a pause by asking
// less. How late the questions themselves were is told beside it, as "lag".
//
// It never sleeps, which takes a core of its own: no timer of the kernel's is as
// fine as 20 µs, what 50,000 questions a second are apart.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#include "questions.h"

enum {
	SOCKETS = 8,      // as many clients as dnsperf plays in the race
	IDS = 1 << 16,    // of a socket's questions under way
	ANSWERS = 16,     // read at a time: a question that is due doesn't wait for more
	SIZE = 1500,
};

static const uint64_t second = 1000000000;

static uint64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * second + t.tv_nsec;
}

// A histogram counts times by their first eight bits: to within 0.8%, however long
// they are.
enum { FINE = 7 };
struct histogram {
	uint64_t count[(64 - FINE + 1) << FINE];
	uint64_t max;
};

static void count(struct histogram *h, uint64_t ns)
{
	int up = 63 - __builtin_clzll(ns | 1) - FINE; // bits that are left out
	if (up < 0)
		up = 0;
	h->count[((uint64_t)up << FINE) + (ns >> up)]++;
	if (ns > h->max)
		h->max = ns;
}

// print gives each bucket with anything in it as [the longest time of it, count].
static void print(const char *name, const struct histogram *h)
{
	const char *comma = "";
	printf("\"%s\": [", name);
	for (uint64_t i = 0; i < sizeof h->count / sizeof *h->count; i++) {
		if (h->count[i] == 0)
			continue;
		uint64_t up = i >> FINE;
		if (up > 0)
			up--; // from the second 128 on a bucket begins with a set bit
		uint64_t last = ((i - (up << FINE) + 1) << up) - 1;
		printf("%s[%llu, %llu]", comma, (unsigned long long)(last < h->max ? last : h->max), (unsigned long long)h->count[i]);
		comma = ", ";
	}
	printf("]");
}

static struct histogram latency, lag;
static uint64_t codes[16], stray;

// due is when the question that has a socket's id under way was to be sent; 0 if
// none has.
static uint64_t due[SOCKETS][IDS];
static uint64_t under_way;
static uint64_t measured; // the moment from which on questions count

static void take(int s, const unsigned char *m, size_t size, uint64_t at)
{
	if (size < HEADER || !(m[2] & 0x80)) {
		stray++;
		return;
	}
	uint64_t *d = &due[s][m[0] << 8 | m[1]];
	if (*d == 0) {
		stray++; // a second answer, or one that is far too late
		return;
	}
	if (*d >= measured) {
		count(&latency, at - *d);
		codes[m[3] & 15]++;
	}
	*d = 0;
	under_way--;
}

int main(int argc, char **argv)
{
	if (argc != 7) {
		fprintf(stderr, "usage: ask PORT QUESTIONS RATE BURST WARM SECONDS\n");
		return 2;
	}
	struct sockaddr_in server = {
		.sin_family = AF_INET,
		.sin_port = htons(atoi(argv[1])),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	pack(argv[2]);
	uint64_t rate = atoll(argv[3]), burst = atoll(argv[4]), warm = atoll(argv[5]), seconds = atoll(argv[6]);
	if (rate == 0 || burst == 0 || seconds == 0) {
		errno = EINVAL;
		fail("RATE, BURST, SECONDS");
	}

	int poll = epoll_create1(0), sockets[SOCKETS];
	for (int i = 0; i < SOCKETS; i++) {
		sockets[i] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
		int room = 4 << 20;
		setsockopt(sockets[i], SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
		if (connect(sockets[i], (struct sockaddr *)&server, sizeof server) < 0)
			fail("connect");
		struct epoll_event e = {.events = EPOLLIN, .data.u32 = i};
		if (epoll_ctl(poll, EPOLL_CTL_ADD, sockets[i], &e) < 0)
			fail("epoll_ctl");
	}
	static unsigned char text[ANSWERS][SIZE];
	static struct iovec part[ANSWERS];
	static struct mmsghdr message[ANSWERS];
	for (int i = 0; i < ANSWERS; i++) {
		part[i] = (struct iovec){.iov_base = text[i], .iov_len = SIZE};
		message[i].msg_hdr.msg_iov = &part[i];
		message[i].msg_hdr.msg_iovlen = 1;
	}
	// No page is to be fetched while the clock runs. Who may not lock memory has at
	// least touched it.
	mlockall(MCL_CURRENT);
	memset(due, 1, sizeof due);
	memset(due, 0, sizeof due);

	// The clock's own step, and what a look at it takes.
	uint64_t before = now(), last = before, step = UINT64_MAX;
	enum { LOOKS = 100000 };
	for (int i = 0; i < LOOKS; i++) {
		uint64_t t = now();
		if (t != last && t - last < step)
			step = t - last;
		last = t;
	}
	uint64_t look = (last - before) / LOOKS;

	uint64_t begin = now() + second / 100, next = 0, sent = 0;
	uint64_t total = (warm + seconds) * rate;
	measured = begin + warm * second;
	uint64_t over = begin + (warm + seconds) * second + second; // the last answer has a second
	while (next < total || under_way > 0) {
		uint64_t at = now();
		if (at > over) {
			if (next == total)
				break;
			errno = ETIME; // more than a second late: this says nothing of the server
			fail("the pace can't be kept");
		}
		// All of a burst are due at once; what has been missed is made up for, burst
		// by burst, with a look at the answers between.
		uint64_t when = begin + next / burst * burst * second / rate;
		for (uint64_t i = 0; next < total && when <= at && i < burst; i++, next++) {
			uint32_t q = next % questions;
			int s = next % SOCKETS;
			uint16_t id = next / SOCKETS % IDS;
			unsigned char *m = packed + start[q];
			m[0] = id >> 8;
			m[1] = id;
			if (due[s][id] == 0)
				under_way++; // else that answer has been lost: its id comes round again
			due[s][id] = when;
			if (when >= measured) {
				sent++;
				count(&lag, now() - when);
			}
			send(sockets[s], m, start[q + 1] - start[q], 0); // one that doesn't go gets no answer
		}
		struct epoll_event ready[SOCKETS];
		int n = epoll_wait(poll, ready, SOCKETS, 0);
		for (int i = 0; i < n; i++) {
			int s = ready[i].data.u32;
			int got = recvmmsg(sockets[s], message, ANSWERS, MSG_DONTWAIT, NULL);
			at = now();
			for (int j = 0; j < got; j++)
				take(s, text[j], message[j].msg_len, at);
		}
	}

	printf("{\"sent\": %llu, \"stray\": %llu, \"clock_step\": %llu, \"clock_look\": %llu, \"codes\": {",
		(unsigned long long)sent, (unsigned long long)stray, (unsigned long long)step, (unsigned long long)look);
	const char *comma = "";
	for (int i = 0; i < 16; i++) {
		if (codes[i] > 0) {
			printf("%s\"%d\": %llu", comma, i, (unsigned long long)codes[i]);
			comma = ", ";
		}
	}
	printf("}, ");
	print("lag", &lag);
	printf(", ");
	print("latency", &latency);
	printf("}\n");
	return 0;
}
