"""Where the catalogue of mistakes is found."""

import sys
from pathlib import Path

collect_ignore_glob = ["cases/*"]  # data: the tests import it, when Keras may be imported

sys.path.insert(0, str(Path(__file__).parent))
