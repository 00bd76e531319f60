"""A client that draws a known pattern in every way that shm allows, step by step.

Run as a program it connects as any client does, and for each step prints `step NAME` when
that step's pixels are on the screen, then waits for a line on its standard input.  At the end it
prints `done`.  Two runs draw the same pixels at the same places: run directly and through a proxy,
the screenshots must be equal.

A step changes only pixels inside the damage that it announces, computed here independently of
the proxy.  Steps called `revealed` make the compositor read the whole buffer again although
the client announced no damage: a proxy whose copy went stale shows it there.
"""
