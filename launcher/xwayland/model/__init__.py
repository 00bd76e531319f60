"""What windows are and how they behave, without X and Wayland.

Sans-IO: property bytes and events go in; what is to be done comes out through the `ports`, behind
which are the X connection and the Wayland objects, or the tests.
"""
