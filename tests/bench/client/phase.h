/* The measured stretch of a run: time, CPU, and the moments at which others may be sampled. */
#ifndef CROSSDOMAIN_BENCH_PHASE_H
#define CROSSDOMAIN_BENCH_PHASE_H

#include <stdbool.h>
#include <stdint.h>

struct usage {
	uint64_t cpu_ns;
	uint64_t runs;	/* how often a thread of it got a CPU: each wake-up that it waited for, and what the scheduler takes */
};

struct phase {
	bool gated;		/* say "begin" and "end" on stdout, and wait for a line on stdin each time */
	int watched_pid;	/* whose usage is sampled at both ends; 0: nobody's */
	uint64_t start_ns, wall_ns;
	struct usage own, watched;
};

/* CLOCK_MONOTONIC. */
uint64_t now_ns(void);

/* Announces the phase, waits for leave to start where it is gated, and samples. */
void phase_begin(struct phase *phase);

/* Samples, leaves the differences in `phase`, and waits likewise. */
void phase_end(struct phase *phase);

/* Writes the members of a JSON object that every result has; the caller closes the object. */
void phase_print(const struct phase *phase);

#endif
