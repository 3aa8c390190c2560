"""Feast's own app behind ours: whoever reaches it over its Unix socket has shown a token to a worker already.

What is left for Feast to decide are its Permissions. It would look at the token again for each request, by ways of its
own: in Kubernetes it lists the RoleBindings, a right that a project without Permissions need not give.
"""

from typing import Any


def trust_the_workers(module: Any) -> None:
    """Have the app that `module` (feast.feature_server) starts ask who comes only where there are Permissions."""
    initialize = module.init_auth_manager

    def initialized(*arguments: Any, **options: Any) -> None:
        from feast.permissions.auth.auth_manager import AuthManager, get_auth_manager, set_auth_manager
        from feast.permissions.security_manager import get_security_manager

        initialize(*arguments, **options)
        if get_security_manager() is not None:
            theirs = get_auth_manager()
            set_auth_manager(AuthManager(_AskedWhereItMatters(theirs.token_parser), theirs.token_extractor))

    module.init_auth_manager = initialized


class _AskedWhereItMatters:
    """In the place of Feast's TokenParser."""

    def __init__(self, parser: Any) -> None:
        self._parser = parser

    async def user_details_from_access_token(self, access_token: str) -> Any:
        from feast.permissions.security_manager import get_security_manager
        from feast.permissions.user import User

        if not get_security_manager().permissions:
            return User("let in by featureplane")
        return await self._parser.user_details_from_access_token(access_token)
