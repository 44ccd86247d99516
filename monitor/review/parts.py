"""The parts of a pipeline that only judges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.alarms.episodes import Episodes
from monitor.alarms.threshold import Thresholds
from monitor.model.scorer import Scorer
from monitor.pipeline.personal import PersonalJudge, episode_rule, uses_profiles

if TYPE_CHECKING:
    from monitor.model.manifest import Model
    from monitor.pipeline.step import BeatScorer
    from monitor.settings import Settings


@dataclass(frozen=True, slots=True)
class ReviewParts:
    """Implements `pipeline.step.Judges`."""

    scorer: BeatScorer
    thresholds: Thresholds
    episodes: Episodes
    personal: PersonalJudge | None


def parts_of(settings: Settings, model: Model, *, has_beat_times: bool) -> ReviewParts:
    """The parts as the daemon has them. Raises RefusedError where the device is not there."""
    profiles = uses_profiles(settings, model.manifest.window.cut)
    scorer = Scorer(model, settings.device, settings.batch_size)
    scorer.use_one_thread()
    personal = PersonalJudge(settings, model.manifest.model_id, has_beat_times=has_beat_times, writes=False)
    return ReviewParts(
        scorer,
        Thresholds.from_manifest(model.manifest, settings.threshold),
        Episodes(episode_rule(settings, profiles=profiles), personal.watched if profiles else None),
        personal if profiles else None,
    )
