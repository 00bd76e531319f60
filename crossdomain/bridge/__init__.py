"""Buffers on their way between guest and host: formats, damage, copies."""
