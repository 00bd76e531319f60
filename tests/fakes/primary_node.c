/*
 * Makes a device's primary node pass for a render node in the process that loads this (LD_PRELOAD).
 *
 * Without a GPU, Mesa draws into dumb buffers, which the kernel makes on primary nodes alone, and wlroots takes
 * no primary node to render with.  So the primary node stands in the render node's place there.  A
 * compositor on a real GPU needs nothing of this.  The function is libdrm's (xf86drm.h).
 */

int drmGetNodeTypeFromFd(int fd);

enum { DRM_NODE_RENDER = 2 };

int drmGetNodeTypeFromFd(int fd)
{
    (void)fd;
    return DRM_NODE_RENDER;
}
