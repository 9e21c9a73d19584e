"""What is kept of a simulation to be looked at: one step on the most nodes."""

from collections.abc import Sequence

from fujimi_core.plugins import Plugins

from fujimi_sim.network.heat import Heat
from fujimi_sim.replay import Observer
from fujimi_sim.simulation import Report, Setting
from fujimi_sim.step_heat import step_heat
from fujimi_sim.timeline import Recorder, Timeline


class Sight:
    """A watch that keeps the largest size.

    Args:
        nodes: All sizes that will be simulated and asked for.
    """

    def __init__(self, nodes: Sequence[int]) -> None:
        self._nodes = max(nodes)
        self._recorder = Recorder()
        self._setting: Setting | None = None

    def __call__(self, setting: Setting) -> Observer | None:
        """Observe the largest size."""
        if setting.nodes != self._nodes:
            return None
        self._setting = setting
        return self._recorder

    @property
    def setting(self) -> Setting:
        """What was simulated.

        Raises:
            RuntimeError: If nothing was.
        """
        if self._setting is None:
            raise RuntimeError(f"{self._nodes} nodes were not simulated")
        return self._setting

    def timeline(self, report: Report) -> Timeline:
        """One step, until its last rank is done."""
        setting = self.setting
        (step_s,) = {point.step_s for point in report.points if point.nodes == setting.nodes}
        return self._recorder.timeline(
            setting.workload.mesh,
            step_s=step_s,
            kernel_seconds=setting.kernel_seconds,
            communication=setting.communication,
        )

    def heat(self, plugins: Plugins) -> Heat:
        """Load of the network in one step."""
        return step_heat(self.setting, plugins=plugins)
