"""What the daemon's own step says about beats that are there already. Nothing is written.

review = Review(parts_of(settings, model, has_beat_times=True), settings, model_id, tally.add)
review.begin({0: 0})                 # the first offset of each partition
review.feed(records); review.end()   # `records` as a poll brings them
"""

from monitor.review.parts import ReviewParts, parts_of
from monitor.review.review import Review
from monitor.review.tally import ReviewedEpisode, Tally

__all__ = ["Review", "ReviewParts", "ReviewedEpisode", "Tally", "parts_of"]
