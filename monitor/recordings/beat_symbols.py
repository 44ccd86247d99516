"""Which annotation belongs to a beat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.recordings.recording import Annotations

BEAT_SYMBOLS = frozenset("NLRBAaJSVrFejnE/fQ?")  # WFDB's codes of beats; the others mark rhythms, noise and waves
NORMAL_SYMBOLS = frozenset("NLRBejn")  # class N of AAMI EC57, with bundle branch block; `trainer.data.labels` has all
VENTRICULAR_SYMBOLS = frozenset("VEr")  # its class V: an escape beat is one, a fusion beat is not
FLUTTER_START, FLUTTER_END = "[", "]"  # of ventricular fibrillation and flutter, whose beats have no codes
REACH_SECONDS = 0.15  # the match window of AAMI EC57


class BeatSymbols:
    """The annotated beats of a recording, to be asked about beats that were found in it."""

    def __init__(self, annotations: Annotations) -> None:
        places = [place for place, symbol in enumerate(annotations.symbols) if symbol in BEAT_SYMBOLS]
        self._seconds: NDArray[np.float64] = annotations.seconds[places]
        self._symbols = [annotations.symbols[place] for place in places]

    def near(self, seconds: float) -> str:
        """The code of the annotated beat that is nearest to this time; empty where none is near."""
        after = int(np.searchsorted(self._seconds, seconds))
        near = [place for place in (after - 1, after) if 0 <= place < len(self._symbols)]
        distances = [abs(float(self._seconds[place]) - seconds) for place in near]
        if not near or min(distances) > REACH_SECONDS:
            return ""
        return self._symbols[near[distances.index(min(distances))]]
