"""The farm's own events, which Buildbot's message queue carries beside its own; the first words of their keys."""

# The store has something new: a `repository`, a `module` or a `kernel`. Pollers tell it; anybody may.
CHANGED = ("kmodci", "matrix", "changed")
# A plan was made: `MatrixScheduler.plan` is the new one.
PLANNED = ("kmodci", "matrix", "planned")
# Builds that have ended are noted in their runs.
SETTLED = ("kmodci", "runs", "settled")
# Told to the reporter of a receiver, and by it; the receiver's name is the third word.
NEWS_FOR = ("kmodci", "news")
ANSWER_OF = ("kmodci", "answer")
