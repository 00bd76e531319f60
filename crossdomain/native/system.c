/* System calls that Python has no function for, or one that refuses what we need. */
#define _GNU_SOURCE
#include "core.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/signalfd.h>

#ifndef MADV_POPULATE_READ /* glibc has it since 2.36 */
#define MADV_POPULATE_READ 22
#endif

int xd_signalfd(uint64_t mask) {
    sigset_t set;
    sigemptyset(&set);
    for (int number = 1; number <= 64; number++)
        if (mask >> (number - 1) & 1)
            sigaddset(&set, number);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

int64_t xd_map(int fd, uint64_t size) {
    void *address = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    return address == MAP_FAILED ? -errno : (int64_t)(intptr_t)address;
}

int64_t xd_remap(int64_t address, uint64_t old_size, uint64_t new_size) {
    void *moved = mremap((void *)(intptr_t)address, old_size, new_size, MREMAP_MAYMOVE);
    return moved == MAP_FAILED ? -errno : (int64_t)(intptr_t)moved;
}

int xd_unmap(int64_t address, uint64_t size) { return munmap((void *)(intptr_t)address, size) ? -errno : 0; }

int xd_populate(int64_t address, uint64_t size) {
    return madvise((void *)(intptr_t)address, size, MADV_POPULATE_READ) ? -errno : 0;
}

int xd_make_writable(int64_t address, uint64_t size) {
    return mprotect((void *)(intptr_t)address, size, PROT_READ | PROT_WRITE) ? -errno : 0;
}
