//go:build ignore

// connect PORT QUESTIONS SECONDS asks a server on 127.0.0.1 as fast as it answers, by a
// TCP connection for each question: eight at a time connect, ask, read and close. What
// it tells, it tells in dnsperf's words.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "questions.h"

enum {
	CLIENTS = 8,
	SIZE = 1500,
	PATIENCE = 500, // ms without any answer until what is under way is given up
};

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static struct sockaddr_in server = {.sin_family = AF_INET};
static uint32_t next; // question
static struct pollfd ready[CLIENTS];

// begin connects a client anew, each from an address of its own: there are only so many
// ports, and each is taken for a while behind its connection.
static void begin(int i)
{
	int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
	if (s < 0)
		fail("socket");
	struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + i)};
	setsockopt(s, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
	setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (bind(s, (struct sockaddr *)&own, sizeof own) < 0)
		fail("bind");
	if (connect(s, (struct sockaddr *)&server, sizeof server) < 0 && errno != EINPROGRESS)
		fail("connect");
	ready[i] = (struct pollfd){.fd = s, .events = POLLOUT};
}

// ask sends a question.
static void ask(int i)
{
	uint32_t q = next++ % questions, size = start[q + 1] - start[q];
	unsigned char b[2 + SIZE] = {size >> 8, size};
	memcpy(b + 2, packed + start[q], size);
	if (send(ready[i].fd, b, 2 + size, MSG_NOSIGNAL) != 2 + (ssize_t)size)
		fail("send");
	ready[i].events = POLLIN;
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: connect PORT QUESTIONS SECONDS\n");
		return 2;
	}
	server.sin_port = htons(atoi(argv[1]));
	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	pack(argv[2]);
	double since = now(), end = since + atoi(argv[3]);
	uint64_t answers = 0, lost = 0, bytes = 0, codes[16] = {0};
	for (int i = 0; i < CLIENTS; i++)
		begin(i);
	while (now() < end) {
		int n = poll(ready, CLIENTS, PATIENCE);
		for (int i = 0; i < CLIENTS; i++) {
			if (n > 0 && ready[i].revents == 0)
				continue;
			if (n > 0 && ready[i].events == POLLOUT) {
				ask(i);
				continue;
			}
			unsigned char m[2 + SIZE];
			// An answer comes at once, or the server isn't worth a race.
			ssize_t got = n > 0 ? recv(ready[i].fd, m, sizeof m, 0) : -1;
			if (got < 2 + HEADER || got != 2 + (m[0] << 8 | m[1])) {
				lost++;
			} else {
				answers++;
				bytes += got - 2;
				codes[m[5] & 15]++;
			}
			close(ready[i].fd);
			begin(i);
		}
	}
	double took = now() - since;
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
