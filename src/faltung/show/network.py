from typing import Any
def page_of_model(*a: Any) -> Any:
    raise NotImplementedError
