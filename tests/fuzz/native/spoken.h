/* What every target that walks messages begins with: the tables of all interfaces, as they ship (-DTABLES). */
#ifndef FUZZ_SPOKEN_H
#define FUZZ_SPOKEN_H

#include "core.h"
#include "input.h"

static xd_tables *tables;

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    static uint8_t packed[1 << 20];
    FILE *file = fopen(TABLES, "rb");
    require(file != NULL, "no tables");
    size_t size = fread(packed, 1, sizeof packed, file);
    fclose(file);
    tables = xd_tables_load(packed, size);
    require(tables != NULL, "the tables do not load");
    return 0;
}

#endif
