"""What to do next. Pure: the world and now in; actions, next status and next look out.

`executions` and `tasks` decide, each for its own kind, and know nothing of each other. What they
share lies beside them: the world they are shown, what they may decide, names, the frozen plan and
the Job that is made of a step.
"""
