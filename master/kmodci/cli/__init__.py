"""stub until merged"""


def main() -> None:
    from .up import up

    up()
