"""zwp_linux_dmabuf_v1, served by the relay whether the compositor has it or not.

A dmabuf of the guest is no dmabuf of the host.  It is one more kind of memory that a client's buffers
are made of (`relay.buffers`), with mirrors of the compositor's wl_shm behind them: so what can be shown
is what the compositor takes through wl_shm, in linear memory, and that is what is offered.

`served` is the global and its objects, `params` what a client collects for a buffer, `memory` one dmabuf,
`sources` those of a buffer, `feedback` what a client is told to allocate, `host_shm` the wl_shm that stands
for the global on the host.
"""
