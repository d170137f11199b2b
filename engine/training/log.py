"""What a run says of itself: TensorBoard events, JSON lines, and a line now and then on the terminal."""

import json
from pathlib import Path
from typing import Any, Self


class TrainingLog:
    """Writes `log.jsonl` and TensorBoard's events into a folder; does nothing on processes but the main one."""

    def __init__(self, folder: Path, *, active: bool, after: int = 0) -> None:
        """after: the step that the run goes on from; lines of later ones, which a killed run wrote, are dropped."""
        self.folder = folder
        self._active = active
        self._events: Any = None
        if active:
            from torch.utils.tensorboard import SummaryWriter

            folder.mkdir(parents=True, exist_ok=True)
            path = folder / "log.jsonl"
            old = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
            self._lines = path.open("w", encoding="utf-8")
            self._lines.writelines(old[:after])
            self._events = SummaryWriter(str(folder), purge_step=after + 1)

    def write(self, step: int, values: dict[str, float]) -> None:
        """Numbers of a step."""
        if not self._active:
            return
        self._lines.write(json.dumps({"step": step} | values) + "\n")
        self._lines.flush()
        for name, value in values.items():
            self._events.add_scalar(f"train/{name}", value, step)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._active:
            self._lines.close()
            self._events.close()
