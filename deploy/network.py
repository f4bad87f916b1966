"""What the network of this machine or container offers."""

import socket


def has_ipv6() -> bool:
    """Whether the kernel can listen on IPv6 addresses. It cannot if IPv6 is disabled, as in many container networks."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::", 0))
    except OSError:
        return False
    return True


def any_address() -> str:
    """The address of all interfaces, as servers write it: IPv6 sockets accept IPv4 connections too."""
    return "[::]" if has_ipv6() else "0.0.0.0"


if __name__ == "__main__":  # for deploy/servers/uwsgi/run
    print(any_address())
