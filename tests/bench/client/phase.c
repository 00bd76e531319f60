/* See phase.h. */
#define _GNU_SOURCE
#include "phase.h"
#include "wire.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

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

/* Adds the first and the third number of schedstat: ns on a CPU, without the rounding to ticks that stat has, and how
 * often it got one. */
static void add_thread(struct usage *usage, int pid, const char *thread)
{
	char path[300];
	uint64_t cpu_ns, runs;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", pid, thread);
	file = fopen(path, "re");
	if (!file)
		return;	/* the thread has ended */
	if (fscanf(file, "%" SCNu64 " %*u %" SCNu64, &cpu_ns, &runs) != 2)
		die("read %s", path);
	fclose(file);
	usage->cpu_ns += cpu_ns;
	usage->runs += runs;
}

static struct usage usage_of(int pid)
{
	char path[64];
	struct usage usage = {0};
	struct dirent *entry;
	DIR *folder;

	if (!pid)
		return usage;
	snprintf(path, sizeof path, "/proc/%d/task", pid);
	folder = opendir(path);
	if (!folder)
		die("open %s", path);
	while ((entry = readdir(folder)))
		if (entry->d_name[0] != '.')
			add_thread(&usage, pid, entry->d_name);
	closedir(folder);
	return usage;
}

static struct usage since(struct usage before, struct usage now)
{
	return (struct usage){now.cpu_ns - before.cpu_ns, now.runs - before.runs};
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
	phase->watched = usage_of(phase->watched_pid);
	phase->own = usage_of(getpid());
	phase->own.cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	phase->start_ns = now_ns();
}

void phase_end(struct phase *phase)
{
	phase->wall_ns = now_ns() - phase->start_ns;
	const uint64_t own_cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	phase->own = since(phase->own, (struct usage){own_cpu_ns, usage_of(getpid()).runs});
	phase->watched = since(phase->watched, usage_of(phase->watched_pid));
	gate(phase, "end");
}

void phase_print(const struct phase *phase)
{
	printf("{\"wall_ns\": %" PRIu64 ", \"cpu_ns\": %" PRIu64 ", \"runs\": %" PRIu64 ", \"watched_cpu_ns\": %" PRIu64
	       ", \"watched_runs\": %" PRIu64,
	       phase->wall_ns, phase->own.cpu_ns, phase->own.runs, phase->watched.cpu_ns, phase->watched.runs);
}
