"""Explicit synchronization, served by the relay whether the compositor has it or not.

The compositor gets pixels that are ready: a commit waits here for its acquire fence (`relay.waiting`), and
its release is told when the compositor has given the buffer back, or when its pixels have been copied.

`commits` is what a surface's commit asks and `surface` its state; `timelines` is wp_linux_drm_syncobj_v1,
`fences` is zwp_linux_explicit_synchronization_v1.
"""
