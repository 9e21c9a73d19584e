"""What a run spent its time on."""

from dataclasses import dataclass, fields


@dataclass(slots=True, kw_only=True)
class Outcome:
    """Seconds of one run by what they went to, and what happened.

    Args:
        waiting_s: In the queue; no nodes are held.
        staging_s: Data were copied to the nodes.
        launch_s: Processes were started.
        start_s: The program began and opened its files.
        restore_s: The last checkpoint was read.
        steps_s: Steps that count, on nodes of average speed.
        stragglers_s: Those steps took longer because of the slowest node.
        reading_s: And because samples came too late.
        checkpoints_s: Training stood still for checkpoints that count.
        lost_s: Training that no checkpoint holds.
        detection_s: A rank hung and nobody was told.
        failures: How many there were.
        submissions: How often the job was submitted.
    """

    waiting_s: float = 0.0
    staging_s: float = 0.0
    launch_s: float = 0.0
    start_s: float = 0.0
    restore_s: float = 0.0
    steps_s: float = 0.0
    stragglers_s: float = 0.0
    reading_s: float = 0.0
    checkpoints_s: float = 0.0
    lost_s: float = 0.0
    detection_s: float = 0.0
    failures: int = 0
    submissions: int = 0

    @property
    def total_s(self) -> float:
        """From the first submission to the end."""
        return float(sum(getattr(self, name) for name in PARTS))

    @property
    def held_s(self) -> float:
        """For which the job held its nodes."""
        return self.total_s - self.waiting_s

    @property
    def busy_s(self) -> float:
        """For which nodes trained, in vain or not."""
        return self.steps_s + self.stragglers_s + self.reading_s + self.checkpoints_s + self.lost_s


#: What time goes to, in the order of reports.
PARTS = tuple(field.name for field in fields(Outcome) if field.name.endswith("_s"))
