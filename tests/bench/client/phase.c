/* See phase.h. */
#define _GNU_SOURCE
#include "phase.h"
#include "wire.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

uint64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/* The first number of schedstat: ns on a CPU, without the rounding to ticks that stat has. */
static uint64_t thread_cpu_ns(int pid, const char *thread)
{
	char path[300];
	uint64_t cpu_ns = 0;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", pid, thread);
	file = fopen(path, "re");
	if (!file)
		return 0;	/* the thread has ended */
	if (fscanf(file, "%" SCNu64, &cpu_ns) != 1)
		die("read %s", path);
	fclose(file);
	return cpu_ns;
}

static uint64_t process_cpu_ns(int pid)
{
	char path[64];
	uint64_t cpu_ns = 0;
	struct dirent *entry;
	DIR *folder;

	if (!pid)
		return 0;
	snprintf(path, sizeof path, "/proc/%d/task", pid);
	folder = opendir(path);
	if (!folder)
		die("open %s", path);
	while ((entry = readdir(folder)))
		if (entry->d_name[0] != '.')
			cpu_ns += thread_cpu_ns(pid, entry->d_name);
	closedir(folder);
	return cpu_ns;
}

static void gate(const struct phase *phase, const char *word)
{
	int character;

	if (!phase->gated)
		return;
	puts(word);
	fflush(stdout);
	do
		character = getchar();
	while (character != '\n' && character != EOF);
}

void phase_begin(struct phase *phase)
{
	gate(phase, "begin");
	phase->watched_cpu_ns = process_cpu_ns(phase->watched_pid);
	phase->own_cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	phase->start_ns = now_ns();
}

void phase_end(struct phase *phase)
{
	phase->wall_ns = now_ns() - phase->start_ns;
	phase->own_cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - phase->own_cpu_ns;
	phase->watched_cpu_ns = process_cpu_ns(phase->watched_pid) - phase->watched_cpu_ns;
	gate(phase, "end");
}

void phase_print(const struct phase *phase)
{
	printf("{\"wall_ns\": %" PRIu64 ", \"cpu_ns\": %" PRIu64 ", \"watched_cpu_ns\": %" PRIu64,
	       phase->wall_ns, phase->own_cpu_ns, phase->watched_cpu_ns);
}
