"""Named checks of a submission, each with where and how to fix."""
