"""The ways to the host: `seam` says what a channel is, `virtgpu` and `local` are the two there are.

`render_node` and `drm` are loaded before the application starts, and load nothing that is slow.
"""
