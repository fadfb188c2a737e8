// The questions that ask and flood have in common.

enum { HEADER = 12 };

static void fail(const char *what)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
	exit(1);
}

// The questions, packed one behind the other.
static unsigned char *packed;
static uint32_t *start; // of each, and one more for the end of the last
static uint32_t questions;

static void pack(const char *path)
{
	FILE *f = fopen(path, "r");
	if (f == NULL)
		fail(path);
	fseek(f, 0, SEEK_END);
	long bytes = ftell(f);
	rewind(f);
	// A line has at least five bytes; in packed form it has 14 more than the name.
	packed = calloc(bytes + (bytes / 5 + 1) * (HEADER + 6), 1);
	start = calloc(bytes / 5 + 2, sizeof *start);
	char line[512], name[300];
	uint32_t at = 0;
	while (fgets(line, sizeof line, f) != NULL) {
		if (sscanf(line, "%299s A", name) != 1)
			continue;
		start[questions++] = at;
		packed[at + 5] = 1; // one question, and no flag: what a resolver asks
		at += HEADER;
		for (char *label = strtok(name, "."); label != NULL; label = strtok(NULL, ".")) {
			size_t n = strlen(label);
			packed[at++] = n;
			memcpy(packed + at, label, n);
			at += n;
		}
		memcpy(packed + at, "\0\0\1\0\1", 5);
		at += 5;
	}
	start[questions] = at;
	fclose(f);
	if (questions == 0) {
		errno = ENODATA;
		fail(path);
	}
}
