"""Every cap on what a peer may ask for, in one place, each with its reason.

A cap is checked before anything is allocated or used.  Reaching one raises
`crossdomain.errors.LimitExceeded`.
"""

from typing import Final

MAX_MESSAGE_SIZE: Final = 65532
"""Bytes of one Wayland message: its size field has 16 bits and sizes are multiples of 4."""

MAX_IDENTIFIERS: Final = 28
"""Identifiers of one SEND or RECEIVE: the arrays of cross_domain_send_receive have 28 entries."""

MAX_OBJECTS: Final = 1 << 20
"""Ids of one Wayland connection and side.  libwayland allows 15 million; a browser holds some thousand,
a burst of pipelined wl_display.sync some 100,000.  The object map takes 8 bytes for each."""

MAX_REMOVED_GLOBALS: Final = 256
"""Removed globals that one client may still bind: it can lag behind a storm of output hot-plugs."""

MAX_DAMAGE_RECTANGLES: Final = 1024
"""Rectangles of one damage region.  Real clients send fewer than ten a frame, terminals one per changed cell.
Beyond, neighbours are joined, so that a little more is copied than was damaged."""

# Cross-domain contexts and host memory.

MAX_BLOB_SIZE: Final = (1 << 31) - 4096
"""Bytes of one blob: wl_shm.create_pool's size is a signed 32-bit number, and foot asks for 512 MiB."""

MAX_IMAGE_SIZES: Final = 16384
"""Different sizes of images one context may ask requirements for: each is remembered for its life."""

MAX_UNTAKEN_BLOBS: Final = 1024
"""Fds from the compositor that a guest did not fetch yet: each holds one of the daemon's descriptors."""

MAX_UNCLAIMED_FDS: Final = 1024
"""Fds that arrived before the messages they belong to: libwayland's own queue holds 1024."""

MAX_HELD_FENCES: Final = 64
"""POLL fences of one context: each holds a descriptor chain of the VM's one control queue of 1024."""

FENCE_SECONDS: Final = 5.0
"""How long anybody waits for a fence of somebody else's.  A frame takes milliseconds, a GPU that hangs is
reset by most drivers after 2 to 10 s, and what depends on a fence has to go on some time."""

MAX_UNTAKEN_SYNCS: Final = 256
"""Fences of the compositor's that a guest did not ask for yet, a descriptor each: one or two a frame."""

MAX_HELD_SYNCS: Final = 64
"""Fences of one context that wait for the compositor's, with what MAX_HELD_FENCES holds."""

GUEST_FENCE_SECONDS: Final = 2 * FENCE_SECONDS
"""How long the compositor waits for a point of a guest's: its launcher gives up after FENCE_SECONDS."""

MAX_TIMELINES: Final = 256
"""Timelines of one client that the host makes, an object of the kernel's each.  Mesa makes two a buffer."""

MAX_PENDING_POINTS: Final = 256
"""Points of one client's timelines that are not signalled yet: each that the compositor is to signal holds a
descriptor.  A surface has two or three buffers on their way, with two points each."""

MAX_COPIED_BYTES: Final = 1 << 31
"""Bytes that one submit of a client's has copied out of the guest's pages: any blob once, in some 0.4 s.  One
command can name each byte of it thousands of times, and all who share the VM wait meanwhile."""

MAX_EVENT_SIZE: Final = 65536
"""Bytes of one RECEIVE or READ, however large the guest's ring: what one read of the compositor gives."""

MAX_PENDING_EVENTS: Final = 4 << 20
"""Bytes of events that wait for a guest's POLL before its compositor socket is read no more: the answers
to 100,000 requests at once.  Less, and the compositor would end a client that is only slow to read."""

MAX_OUTGOING: Final = 8 << 20
"""Bytes of requests that wait for the compositor: 100,000 small ones sent while it draws one slow frame."""

MAX_PIPES: Final = 256
"""Pipes of one context and direction, two descriptors each: clipboards with 50 transfers at once exist."""

MAX_PIPE_BYTES: Final = 16 << 20
"""Bytes of WRITEs of one context that wait for slow readers.  Guests with PIPE_CREDIT stay far below.  Others
can't be held back: they wait for no fence of a WRITE, and a descriptor that is kept back only fills the one
queue of all clients of their VM.  Beyond this the client ends, which tells more than half a paste would."""

MAX_ORPHANED_PIPES: Final = 64
"""Pipes per VM whose client went away before the reader took everything."""

MAX_ORPHANED_BYTES: Final = 4 * MAX_PIPE_BYTES
"""Bytes that wait in them: of four clients that left at their quota.  Beyond, the oldest pipe is given up."""

MAX_LOCAL_RESOURCES: Final = 4096
"""Resources of one local connection: each is a descriptor, and a client has a few hundred buffers at most."""

MAX_TEXT: Final = 4083
"""Bytes of a window's title or app id: with header, length and NUL one message of 4096, the most that a
compositor or a task bar with libwayland before 1.23 takes."""

MAX_VIEWPORTS: Final = 16384
"""wp_viewports of one client, which the host keeps in mind: one a surface, and browsers have some hundred."""

MAX_TRANSFER_OBJECTS: Final = 4096
"""Sources and offers of selections that the host knows of one client: a few are in use at a time.  Beyond,
the oldest offer is forgotten, which is judged as strictly as the settings allow."""

MAX_OFFERED_TYPES: Final = 256
"""MIME types of an offer that wait until it is known what the offer is for: office suites have some 50."""

MAX_HELD_TRANSFERS: Final = 64
"""Messages with fds of one client that wait while a person is asked; further ones are refused."""

MAX_HELD_MESSAGES: Final = 4096
"""Requests of one client that wait behind those: a minute of a drag's motion has some thousand."""

MAX_OWN_PIPES: Final = 4096
"""Pipes between the clients of one VM whose other end has not come yet."""

MAX_SHOWN_BUFFERS: Final = 64
"""Buffers of one client that the compositor reads in place: each is a descriptor of the compositor's, which
often has 1024 for all its clients.  A window has two or three."""

MAX_SHOWN_SIDE: Final = 16384
"""px of such a buffer's width and height: what GPUs have as textures."""

MAX_JUDGED_IMAGES: Final = 4096
"""Images of which it is remembered whether the compositor reads them in place: one for each window size."""

# The virtio-gpu device.

MAX_VHOST_USER_PAYLOAD: Final = 4096
"""Bytes of a vhost-user message that we do not know; the largest that we do know has 2056."""

MAX_VHOST_USER_BACKLOG: Final = 65536
"""Bytes of replies that a VMM may leave unread: it waits for each of them, so one is what there should be."""

MAX_MEMORY_REGIONS: Final = 4096
"""Regions of guest memory: a few for RAM, and one for each blob that is mapped into the window."""

MAX_MEMORY_SLOTS: Final = 509
"""What GET_MAX_MEM_SLOTS says: QEMU's own 512 less the three that it keeps; more is never used there."""

MAX_QUEUE_SIZE: Final = 32768
"""Entries of a virtqueue: virtio's own limit (1.3, 2.7), and crosvm's default; QEMU's largest is 1024."""

MAX_CHAINS_UNDER_WAY: Final = 1024
"""Chains of one queue that were taken and not given back, in a larger queue too: a driver waits for most of
its commands, and each of our contexts keeps one, or two where there are few (`native/virtqueue.c`)."""

MAX_CHAIN_DESCRIPTORS: Final = 16384
"""Descriptors of one chain.  A guest process's EXECBUFFER is a descriptor per page, so a longer one is
that process's fault; the chain is given back unanswered without walking it."""

MAX_COMMAND_SIZE: Final = 1 << 19
"""Bytes of one command that are copied from the guest: a list of MAX_BACKING_ENTRIES is half of that, and
the largest SEND an eighth."""

MAX_BACKING_ENTRIES: Final = 16384
"""Runs of guest pages behind one resource: 64 MiB of single pages, which is udmabuf's limit in a guest."""

MAX_CONTEXTS: Final = 512
"""Contexts of one device: one for each client, and some more for programs that only look at the node."""

MAX_RESOURCES: Final = 16384
"""Resources of one device: a client has two rings and a few hundred buffers at most."""

MAX_MAPPED_BLOBS: Final = 384
"""Blobs in the window at a time.  Each is a memory region to QEMU, which aborts at the 513th and takes
quadratic time before that: 5 ms per mapping at 100, 77 ms at 400 (QEMU 11.1 under TCG)."""

MAX_VMS: Final = 64
"""VMs of one daemon."""

MAX_WORKER_MESSAGE: Final = 1 << 20
"""Bytes of what a worker says at once: the status of 512 clients has a third of that."""

MAX_WORKER_LINE: Final = 16384
"""Bytes of one line of a worker's log: a Python traceback as JSON has some thousand."""

WORKER_LOG_BURST: Final = 1 << 20
"""Bytes of its log that a worker may have written at once: a debug log of a few seconds."""

WORKER_LOG_PER_SECOND: Final = 1 << 16
"""And in the long run: a guest that has taken it over must not fill the host's disk."""

MAX_WORKER_BACKLOG: Final = 1 << 20
"""Bytes that a worker leaves unread before it is given up: it is stuck."""

MAX_WORKER_WAITING: Final = 1024
"""Messages that it leaves unread, many with a descriptor: every client of a VM at once, twice."""

WORKER_MESSAGES_PER_SECOND: Final = 10_000
"""What a worker says in the long run, and five seconds' worth at once: more than ours gets to say, whatever
its guest does.  One that its guest has taken over must not keep the supervisor from the others."""

MAX_WORKER_SOCKETS: Final = 128
"""Sockets of a worker besides two for each client: those of its VM, and of clients that have just left."""

MAX_DIALS: Final = 512
"""Connections to the compositor that one worker waits for: every client of a VM at once."""

MAX_WORKER_FDS: Final = 65536
"""Descriptors of one worker: 512 clients with the 64 that a busy one has, twice."""

MAX_WORKER_MEMORY: Final = 1 << 30
"""Bytes of a worker's own memory, that of guests and buffers not counted: every client's queues
full would be more, and 50 clients are 3 MiB."""

# Defaults of the quotas that settings change ([default.quotas.vm], .client); the others have the numbers of
# the caps above.

MAX_BLOB_BYTES: Final = 8 << 30
"""Bytes of host memory in blobs, mostly untouched pages: a few pools of foot's 512 MiB.  A VM can't have more
than its window shows, either."""

MAX_CLIENT_DESCRIPTORS: Final = 2048
"""Descriptors that wait for one client, and its pipes: MAX_UNTAKEN_BLOBS and MAX_UNCLAIMED_FDS at once."""

MAX_LIVE_OBJECTS: Final = 1 << 19
"""Objects of one client at a time: five times the largest burst of callbacks, half of what ids may reach."""

MAX_SURFACES: Final = 4096
"""Surfaces of one client at a time: browsers have some hundred."""

MAX_VM_OBJECTS: Final = 1 << 20
"""Objects of all clients of a VM together: two of them may have as many as one may.  Each is 8 bytes here,
and some 100 in the compositor."""

IDS_PER_OBJECT: Final = 4
"""Ids of a VM's clients, those of objects that are gone among them, for each object that they may have
together: a client that never takes an id again has an entry of 8 bytes for each until it leaves."""

MAX_VM_SURFACES: Final = 16384
"""Surfaces of all clients of a VM together: some hundred of each of 50 browsers."""

MAX_POOL_BYTES: Final = 1 << 30
"""Bytes of one wl_shm_pool: foot asks for half of it."""

CLIENT_MESSAGES_PER_SECOND: Final = 200_000
"""Requests and other commands of one client in the long run: a busy browser sends some thousand, and a
compositor that reads more does little else."""

VM_MESSAGES_PER_SECOND: Final = 400_000
"""Requests of all clients of one VM in the long run: two of them may flood at once."""

VM_CPU_PERCENT: Final = 100
"""Of one processor: what a worker, which has one thread, can take at most."""

MAX_QUESTIONS: Final = 16
"""Questions of one VM that wait for an answer: a person answers one at a time."""

# The launcher's relay, per client.

MAX_CLIENT_BACKLOG: Final = 1 << 20
"""Bytes of requests that are read while the compositor is busy.  A client with an older libwayland dies
when its socket is full, so we read more than direct clients' compositors do; then it has to wait."""

MAX_CLIENT_FDS: Final = 512
"""Fds in the backlog: each is a descriptor of the launcher's.  One sendmsg may add up to 253 more."""

MAX_UNREAD_EVENTS: Final = 1 << 20
"""Bytes of events that a client did not read before its channel is received from no more."""

MAX_IDLE_MIRRORS: Final = 64 << 20
"""Bytes of mirrors kept for the next buffers of their size: eight windows of 1920 x 1080."""

MAX_CARRIED_FILE: Final = 32 << 20
"""Bytes of a file that the other side gets a copy of: keymaps have some 60 KiB, and an ICC profile may have
as many (wp_image_description_creator_icc_v1)."""

MAX_FILES_ON_THE_WAY: Final = 64
"""Copies of files that the compositor has not taken yet: a night light's fade sends some dozen a second."""

MAX_SANDBOXES: Final = 256
"""Sandboxes of one launcher: a desktop runs some dozen applications.  Each holds two of its fds."""

MAX_BUFFER_PARAMS: Final = 256
"""zwp_linux_buffer_params_v1 that are not used up: each holds up to four of the launcher's descriptors."""

MAX_DMABUFS: Final = 1024
"""dmabufs behind one client's buffers, a descriptor and a mapping each: video players have some dozen."""

MAX_OFFERED_FORMATS: Final = 1024
"""Formats that a compositor may offer: drm_fourcc.h has some 120."""

MAX_HELD_BYTES: Final = 1 << 20
"""Bytes of requests that wait for fences, as many as wait for a busy compositor; then the client waits."""
