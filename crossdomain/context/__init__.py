"""One cross-domain context: commands, identifiers, rings, pipes, the connection to the compositor.

Read in the order of the path: `context` (commands, and how a client ends; `questions` answers those that ask
something), `traffic` (bytes and their fds), `policy` (what may pass), `compositor` (the socket), and back:
`stream` and `pipes` (what there is to say), `outbox` (whose turn it is, the ring and its fences).
`labels`, `transfers` and `viewports` are what `policy` does to messages, `edits` how, and `rules` what the
configuration says about it.  `blobs`, `images`, `memory` and `descriptors` turn fds and sizes into
identifiers.
"""
