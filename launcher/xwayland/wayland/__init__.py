"""The Wayland connection between Xwayland and the compositor: a proxy with two id spaces.

Xwayland is a client of `mediator`, which is a client of the compositor (in production: of the
launcher's relay).  Unlike the relay, it has to add objects of its own to the connection: every X
window's wl_surface gets a role, decorations and more from us.  So object ids are translated,
message by message, instead of being kept: the number of own objects has no limit, no compositor's
rules about ids are leaned on, and Xwayland's few thousand messages a second cost nothing much.
The signature tables are those of all others (`crossdomain.wire`).
"""
