//go:build ignore

// flood PORT QUESTIONS SECONDS asks a server on 127.0.0.1 as fast as it answers:
// each of 8 clients has 50 questions under way, and sends a new one for each answer,
// many with one call. It spends half as much on a question as dnsperf, so that the
// server is the slower of the two. What it tells, it tells in dnsperf's words.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "questions.h"

enum {
	CLIENTS = 8,   // as dnsperf has in the other race
	WINDOW = 50,   // questions under way, 400 in all
	SIZE = 1500,
	PATIENCE = 500, // ms without any answer until what is under way is given up
};

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static uint32_t next; // question

// A client and its questions under way. An answer has the number of its place as
// its ID; more than that isn't looked at, which is the other race's to do.
struct client {
	int socket;
	char waits[WINDOW];
	int under_way;
};

static struct client clients[CLIENTS];
static unsigned char in[WINDOW][SIZE], out[WINDOW][SIZE];
static struct iovec in_part[WINDOW], out_part[WINDOW];
static struct mmsghdr received[WINDOW], sent[WINDOW];

// ask fills the places that are free.
static void ask(struct client *c)
{
	int n = 0;
	for (int i = 0; i < WINDOW; i++) {
		if (c->waits[i])
			continue;
		uint32_t q = next++ % questions, size = start[q + 1] - start[q];
		memcpy(out[n], packed + start[q], size);
		out[n][0] = 0;
		out[n][1] = i;
		out_part[n].iov_len = size;
		c->waits[i] = 1;
		n++;
	}
	c->under_way += n;
	for (int done = 0; done < n;) {
		int k = sendmmsg(c->socket, sent + done, n - done, 0);
		if (k < 0)
			fail("sendmmsg");
		done += k;
	}
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: flood PORT QUESTIONS SECONDS\n");
		return 2;
	}
	struct sockaddr_in server = {
		.sin_family = AF_INET,
		.sin_port = htons(atoi(argv[1])),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	pack(argv[2]);
	for (int i = 0; i < WINDOW; i++) {
		in_part[i] = (struct iovec){in[i], SIZE};
		out_part[i] = (struct iovec){out[i], 0};
		received[i].msg_hdr.msg_iov = &in_part[i];
		received[i].msg_hdr.msg_iovlen = 1;
		sent[i].msg_hdr.msg_iov = &out_part[i];
		sent[i].msg_hdr.msg_iovlen = 1;
	}
	struct pollfd ready[CLIENTS];
	double begin = now(), end = begin + atoi(argv[3]);
	uint64_t answers = 0, lost = 0, bytes = 0, codes[16] = {0};
	for (int i = 0; i < CLIENTS; i++) {
		struct client *c = &clients[i];
		c->socket = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
		int room = 1 << 20;
		setsockopt(c->socket, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
		if (connect(c->socket, (struct sockaddr *)&server, sizeof server) < 0)
			fail("connect");
		ready[i] = (struct pollfd){.fd = c->socket, .events = POLLIN};
		ask(c);
	}
	while (now() < end) {
		int n = poll(ready, CLIENTS, PATIENCE);
		for (int i = 0; i < CLIENTS; i++) {
			struct client *c = &clients[i];
			if (n == 0) {
				lost += c->under_way;
				c->under_way = 0;
				memset(c->waits, 0, sizeof c->waits);
				ask(c);
				continue;
			}
			if (!(ready[i].revents & POLLIN))
				continue;
			int got = recvmmsg(c->socket, received, WINDOW, MSG_DONTWAIT, NULL);
			for (int j = 0; j < got; j++) {
				unsigned char *m = in[j];
				if (received[j].msg_len < HEADER || m[0] != 0 || m[1] >= WINDOW || !c->waits[m[1]])
					continue;
				c->waits[m[1]] = 0;
				c->under_way--;
				answers++;
				bytes += received[j].msg_len;
				codes[m[3] & 15]++;
			}
			if (got > 0)
				ask(c);
		}
	}
	double took = now() - begin;
	static const char *names[16] = {"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"};
	printf("Queries completed: %llu\nQueries lost: %llu\n", (unsigned long long)answers, (unsigned long long)lost);
	printf("Average packet size: response %llu\nRun time (s): %f\nQueries per second: %f\nResponse codes:",
		(unsigned long long)(answers ? bytes / answers : 0), took, answers / took);
	for (int i = 0; i < 16; i++) {
		if (codes[i] > 0)
			printf(" %s %llu (%.2f%%)", names[i] ? names[i] : "OTHER", (unsigned long long)codes[i], 100.0 * codes[i] / answers);
	}
	printf("\n");
	return 0;
}
