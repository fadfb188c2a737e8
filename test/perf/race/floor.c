//go:build ignore

// floor PORT gives every question on 127.0.0.1 the same address, and looks at no
// more of it than it takes to find where it ends: what is left is the kernel's part
// of an answer, beneath which no server on sockets gets.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	BATCH = 64,    // messages a system call
	SIZE = 512,    // of a question; longer ones are cut, and then dropped
	HEADER = 12,
};

// The record: the question's name, A, IN, 180 s, 198.18.0.1.
static const unsigned char record[] = {0xc0, HEADER, 0, 1, 0, 1, 0, 0, 0, 180, 0, 4, 198, 18, 0, 1};

static unsigned char text[BATCH][SIZE + sizeof record];
static struct sockaddr_in peer[BATCH];
static struct iovec part[BATCH];
static struct mmsghdr message[BATCH];

// reply turns a question of so many bytes into its answer, and gives the length of
// that; 0 if it isn't a question.
static size_t reply(unsigned char *m, size_t size)
{
	size_t end = HEADER;
	while (end < size && m[end] != 0)
		end += m[end] + 1;
	end += 5; // the root label, type and class
	if (end > size)
		return 0;
	m[2] = 0x84 | (m[2] & 1); // an answer, authoritative; RD as it was
	m[3] = 0;
	memset(m + 4, 0, 8);
	m[5] = m[7] = 1; // a question, a record, and nothing behind them
	memcpy(m + end, record, sizeof record);
	return end + sizeof record;
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: floor PORT\n");
		return 2;
	}
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	int room = 4 << 20;
	setsockopt(s, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
	struct sockaddr_in here = {
		.sin_family = AF_INET,
		.sin_port = htons(atoi(argv[1])),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	if (s < 0 || bind(s, (struct sockaddr *)&here, sizeof here) < 0) {
		perror("floor");
		return 1;
	}
	for (int i = 0; i < BATCH; i++) {
		part[i].iov_base = text[i];
		message[i].msg_hdr.msg_iov = &part[i];
		message[i].msg_hdr.msg_iovlen = 1;
		message[i].msg_hdr.msg_name = &peer[i];
	}
	for (;;) {
		for (int i = 0; i < BATCH; i++) {
			part[i].iov_base = text[i];
			part[i].iov_len = SIZE;
			message[i].msg_hdr.msg_namelen = sizeof peer[i];
		}
		int n = recvmmsg(s, message, BATCH, MSG_WAITFORONE, NULL);
		int good = 0;
		for (int i = 0; i < n; i++) {
			size_t size = reply(part[i].iov_base, message[i].msg_len);
			if (size == 0)
				continue;
			// What is dropped is closed up: sendmmsg takes one stretch.
			struct mmsghdr *m = &message[good];
			if (good != i) {
				*(struct sockaddr_in *)m->msg_hdr.msg_name = peer[i];
				part[good].iov_base = text[i];
			}
			part[good++].iov_len = size;
		}
		if (good > 0)
			sendmmsg(s, message, good, 0); // what doesn't go is a lost answer, and is counted there
	}
}
