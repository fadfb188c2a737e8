// The questions that ask and flood have in common.

enum {
	HEADER = 12,
	OPT = 11 + 8 + 16, // with the longest of networks
};

static void fail(const char *what)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
	exit(1);
}

// The questions, packed one behind the other.
static unsigned char *packed;
static uint32_t *start; // of each, and one more for the end of the last
static uint32_t questions;

// subnet writes an OPT record that says that the client is in a network, such as
// 192.0.2.0/24 (RFC 6891 section 6.1.2, RFC 7871 section 6), and gives its size.
static uint32_t subnet(unsigned char *at, char *network)
{
	int six = strchr(network, ':') != NULL;
	unsigned char address[16];
	char *slash = strchr(network, '/');
	if (slash != NULL)
		*slash = '\0';
	if (slash == NULL || inet_pton(six ? AF_INET6 : AF_INET, network, address) != 1) {
		errno = EINVAL;
		fail(network);
	}
	int bits = atoi(slash + 1), size = (bits + 7) / 8;
	memcpy(at, "\0\0\51\4\320\0\0\0\0\0", 10); // the root, OPT, 1232 bytes at most, no flags
	at[10] = 8 + size;
	memcpy(at + 11, "\0\10\0", 3);
	at[14] = 4 + size;
	at[15] = 0;
	at[16] = six ? 2 : 1;
	at[17] = bits;
	at[18] = 0;
	memcpy(at + 19, address, size);
	return 19 + size;
}

// A line of the file is a name, A, and perhaps the network that is asked for.
static void pack(const char *path)
{
	FILE *f = fopen(path, "r");
	if (f == NULL)
		fail(path);
	fseek(f, 0, SEEK_END);
	long bytes = ftell(f);
	rewind(f);
	char line[512], name[300], network[64];
	long lines = 0;
	while (fgets(line, sizeof line, f) != NULL)
		lines++;
	rewind(f);
	packed = calloc(bytes + lines * (HEADER + 6 + OPT), 1);
	start = calloc(lines + 1, sizeof *start);
	uint32_t at = 0;
	while (fgets(line, sizeof line, f) != NULL) {
		int fields = sscanf(line, "%299s A %63s", name, network);
		if (fields < 1)
			continue;
		start[questions++] = at;
		packed[at + 5] = 1; // one question, and no flag: what a resolver asks
		packed[at + 11] = fields - 1;
		at += HEADER;
		for (char *label = strtok(name, "."); label != NULL; label = strtok(NULL, ".")) {
			size_t n = strlen(label);
			packed[at++] = n;
			memcpy(packed + at, label, n);
			at += n;
		}
		memcpy(packed + at, "\0\0\1\0\1", 5);
		at += 5;
		if (fields == 2)
			at += subnet(packed + at, network);
	}
	start[questions] = at;
	fclose(f);
	if (questions == 0) {
		errno = ENODATA;
		fail(path);
	}
}
