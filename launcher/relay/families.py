"""Which objects belong to which surface, and which surfaces change together.

What is said through an xdg_surface, a viewport or any other object of a surface takes effect with the
surface's next commit, and the commit of a synchronized subsurface with that of its parent
(wl_subsurface.set_sync).  So where a commit has to wait (`holds`), all of these have to wait with it.
"""

from typing import Final, NamedTuple

from crossdomain.wire import Record, Walker
from crossdomain.wire.codec import decode_arguments, integer
from crossdomain.wire.tables import ArgumentKind, Message, Tables
from launcher.relay.messages import Route

_FEW: Final = 256
"""Objects of surfaces that are remembered without a look at which of them are still there."""

EXTENDING: Final = (
    ("ext_background_effect_manager_v1", "get_background_effect"),
    ("ext_session_lock_v1", "get_lock_surface"),
    ("ivi_application", "surface_create"),
    ("org_kde_kwin_server_decoration_manager", "create"),
    ("wl_shell", "get_shell_surface"),
    ("wl_subcompositor", "get_subsurface"),
    ("wp_alpha_modifier_v1", "get_surface"),
    ("wp_color_manager_v1", "get_surface"),
    ("wp_color_manager_v1", "get_surface_feedback"),
    ("wp_color_representation_manager_v1", "get_surface"),
    ("wp_commit_timing_manager_v1", "get_timer"),
    ("wp_content_type_manager_v1", "get_surface_content_type"),
    ("wp_fifo_manager_v1", "get_fifo"),
    ("wp_fractional_scale_manager_v1", "get_fractional_scale"),
    ("wp_linux_drm_syncobj_manager_v1", "get_surface"),
    ("wp_tearing_control_manager_v1", "get_tearing_control"),
    ("wp_viewporter", "get_viewport"),
    ("xdg_session_v1", "add_toplevel"),
    ("xdg_session_v1", "restore_toplevel"),
    ("xdg_surface", "get_popup"),
    ("xdg_surface", "get_toplevel"),
    ("xdg_wm_base", "get_xdg_surface"),
    ("xdg_wm_dialog_v1", "get_xdg_dialog"),
    ("xwayland_shell_v1", "get_xwayland_surface"),
    ("zwlr_layer_shell_v1", "get_layer_surface"),
    ("zwp_idle_inhibit_manager_v1", "create_inhibitor"),
    ("zwp_input_method_v2", "get_input_popup_surface"),
    ("zwp_input_panel_v1", "get_input_panel_surface"),
    ("zwp_keyboard_shortcuts_inhibit_manager_v1", "inhibit_shortcuts"),
    ("zwp_linux_dmabuf_v1", "get_surface_feedback"),
    ("zwp_linux_explicit_synchronization_v1", "get_synchronization"),
    ("zwp_pointer_constraints_v1", "confine_pointer"),
    ("zwp_pointer_constraints_v1", "lock_pointer"),
    ("zwp_xwayland_keyboard_grab_manager_v1", "grab_keyboard"),
    ("zxdg_decoration_manager_v1", "get_toplevel_decoration"),
    ("zxdg_exporter_v1", "export"),
    ("zxdg_exporter_v2", "export_toplevel"),
    ("zxdg_shell_v6", "get_xdg_surface"),
    ("zxdg_surface_v6", "get_popup"),
    ("zxdg_surface_v6", "get_toplevel"),
)
"""Requests that make an object, with requests of its own, of a surface or of such an object.

Written out, because looking for them in all tables takes too long at the start; a test does.
"""

_TREE: Final = (
    ("wl_surface", "destroy"),
    ("wl_subsurface", "set_sync"),
    ("wl_subsurface", "set_desync"),
    ("wl_subsurface", "destroy"),
)

ROUTES: Final[tuple[Route, ...]] = EXTENDING + _TREE
"""What `Families.note` has to be told of."""


class _Member(NamedTuple):
    """An object of surfaces: of two where it is a wl_subsurface."""

    interface: int
    surfaces: tuple[int, ...]


class _Edge(NamedTuple):
    """What makes a surface a subsurface."""

    subsurface: int
    parent: int
    synchronized: bool


class Families:
    """One client's."""

    def __init__(self, tables: Tables, walker: Walker) -> None:
        self._tables = tables
        self._walker = walker
        self._surface = tables.index("wl_surface")
        self._subsurface = tables.index("wl_subsurface")
        self._members: dict[int, _Member] = {}
        self._edges: dict[int, _Edge] = {}
        self._enough = _FEW
        """So many members are no reason to look for those that are gone: nobody tells when one is."""

    def note(self, record: Record, data: memoryview) -> None:
        """The client sends one of ROUTES."""
        request = self._tables.at(record.interface).requests[record.opcode]
        if record.interface == self._subsurface:
            self._change_edge(record.object_id, request)
            return
        if record.interface == self._surface:
            self._lose_surface(record.object_id)
            return
        values = decode_arguments(request, data, record.offset)
        named = [
            integer(value)
            for argument, value in zip(request.arguments, values, strict=True)
            if argument.kind is ArgumentKind.OBJECT and value
        ]
        created, interface = next(
            (integer(value), argument.interface)
            for argument, value in zip(request.arguments, values, strict=True)
            if argument.kind is ArgumentKind.NEW_ID and argument.interface is not None
        )
        surfaces = self.surfaces_of(record.object_id)
        for object_id in named if not surfaces else ():
            surfaces += self.surfaces_of(object_id)
        self._forget_the_gone()
        self._members[created] = _Member(self._tables.index(interface), surfaces)
        if request.name == "get_subsurface" and len(surfaces) == len(named):
            child, parent = surfaces
            self._edges[child] = _Edge(created, parent, synchronized=True)

    def surfaces_of(self, object_id: int) -> tuple[int, ...]:
        """Returns the surfaces that an object is, or belongs to."""
        interface = self._walker.interface_of(object_id)
        if interface == self._surface:
            return (object_id,)
        member = self._members.get(object_id)
        # Its id may be another object's by now.
        return () if member is None or member.interface != interface else member.surfaces

    def root_of(self, surface_id: int) -> int:
        """Returns the surface with whose commit a surface changes: itself where it is not synchronized."""
        root = at = surface_id
        seen = {at}
        while (edge := self._edges.get(at)) is not None and edge.parent not in seen:
            at = edge.parent
            seen.add(at)
            if edge.synchronized:
                root = at
        return root

    def _forget_the_gone(self) -> None:
        if len(self._members) >= self._enough:
            self._members = {one: member for one, member in self._members.items() if self._stays(one, member)}
            self._enough = max(_FEW, 2 * len(self._members))

    def _stays(self, object_id: int, member: _Member) -> bool:
        # The end of a wl_subsurface is told of, in turn; the walker may be beyond it already.
        return member.interface in (self._subsurface, self._walker.interface_of(object_id))

    def _change_edge(self, subsurface_id: int, request: Message) -> None:
        member = self._members.get(subsurface_id)
        if member is None:
            return
        if request.destructor:
            del self._members[subsurface_id]
        child = member.surfaces[0]
        edge = self._edges.get(child)
        # Without one of its own it has lost a surface, and says nothing of the next that has its id.
        if edge is None or edge.subsurface != subsurface_id:
            return
        if request.destructor:
            del self._edges[child]
        else:
            self._edges[child] = edge._replace(synchronized=request.name == "set_sync")

    def _lose_surface(self, surface_id: int) -> None:
        """A wl_surface is destroyed: those on it are on nothing."""
        self._edges.pop(surface_id, None)
        for child in [child for child, edge in self._edges.items() if edge.parent == surface_id]:
            del self._edges[child]
