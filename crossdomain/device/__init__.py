"""A virtio-gpu with capset 5 over vhost-user: what the VMM and the guest's driver talk to.

From the socket inwards: `session` (one VM), `transport` (bytes and fds), `vhost_user` (messages,
sans-IO), `backend` (what the VMM asks), `memory` (guest RAM), `ring` and `virtqueue` (descriptor
chains), `gpu` (commands), `resources` and `window` (blobs, and where the guest sees them),
`backend_channel` (what we ask of the VMM).  Behind `gpu` stand the contexts of `crossdomain.context`.
"""
