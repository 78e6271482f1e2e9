"""Where the two kinds live in the API. Apart from the models, which take a while to import."""

from typing import Final

GROUP: Final = "taskmill.dev"
VERSION: Final = "v1alpha1"
