"""What each may do: Buildbot's `authz`, filled from `login:`. The farm's own pages, its API and its files ask the same.

Of what changes anything, whatever is not named here takes the role that may do all.
"""

from collections.abc import Mapping, Sequence

from buildbot.data.base import Endpoint
from buildbot.master import BuildMaster
from buildbot.www.authz import Authz
from buildbot.www.authz.endpointmatchers import (
    AnyControlEndpointMatcher,
    AnyEndpointMatcher,
    EndpointMatcherBase,
    Match,
    RebuildBuildEndpointMatcher,
    StopBuildEndpointMatcher,
)
from buildbot.www.authz.roles import (
    RolesFromBase,
    RolesFromDomain,
    RolesFromEmails,
    RolesFromOwner,
    RolesFromUsername,
)
from twisted.internet import defer
from twisted.python import log
from twisted.web.server import Request

from ...errors import KmodciError
from ...loginfile import Login, People, Role
from ...users import Users

FORCE = "force"
"""the force scheduler that builds kernels' modules; others clean up"""
WAY, MARK = "way", "mark"
"""what a session says beside the name: how that one logged in, and with which password"""
_OWNER = "owner"
_A_BUILD = "*/*/*"
UserInfo = Mapping[str, object]


class Rules(Authz):
    """Of one configuration."""

    def __init__(self, login: Login, users: Users) -> None:
        self.is_open = login.is_open
        operate = str(Role.OPERATE)
        rules = [
            ForceModule(role=str(Role.BUILD)),
            RebuildBuildEndpointMatcher(builder=_A_BUILD, role=str(Role.BUILD)),
            # who may cancel all, and else who has asked for it
            StopOrCancel(role=operate, defaultDeny=False),
            StopOrCancel(role=_OWNER),
            AnyCommand(role=operate),
        ]
        if not login.is_open:
            rules.append(AnyEndpointMatcher(role=str(Role.READ)))
        known = PasswordRoles(users) if login.way == "password" else ListedRoles(login.way, login.roles)
        super().__init__(allowRules=rules, roleMatchers=[known, OwnerWhoMayBuild(_OWNER)])


def may_read(master: BuildMaster, request: Request) -> bool:
    """Whether who asks may see what the farm knows."""
    rules: Rules = master.www.authz
    return rules.is_open or Role.READ in rules.getRolesFromUser(master.www.getUserInfos(request))


class ForceModule(EndpointMatcherBase):
    """Builds by hand; not whatever else has a force scheduler."""

    def match_ForceSchedulerEndpoint_force(
        self, epobject: Endpoint, epdict: Mapping[str, object], options: Mapping[str, object]
    ) -> defer.Deferred[Match | None]:
        return defer.succeed(Match(self.master) if epdict["schedulername"] == FORCE else None)


class AnyCommand(AnyControlEndpointMatcher):
    """Whatever is no reading. Buildbot 4.3.0 takes HEAD for a command."""

    def match(
        self, ep: Sequence[str], action: str = "", options: Mapping[str, object] | None = None
    ) -> defer.Deferred[Match | None]:
        return super().match(ep, "get" if action == "HEAD" else action, options)


class StopOrCancel(StopBuildEndpointMatcher):
    """A build that runs or waits. Buildbot 4.3.0 cancels what waits by `cancel`, and its matcher looks for `stop`."""

    def match_BuildRequestEndpoint_cancel(
        self, epobject: Endpoint, epdict: Mapping[str, object], options: Mapping[str, object]
    ) -> defer.Deferred[Match | None]:
        return self.match_BuildRequestEndpoint_stop(epobject, epdict, options)


class PasswordRoles(RolesFromBase):
    """Of users with passwords. Looked up each time: one who was removed, or has another password, has none."""

    def __init__(self, users: Users) -> None:
        super().__init__()
        self._users = users

    def getRolesFromUser(self, userDetails: UserInfo) -> Sequence[str]:
        if userDetails.get(WAY) != "password":
            return ()
        try:
            user = self._users.find(str(userDetails.get("username")))
        except KmodciError as error:
            log.msg(f"nobody has a role now: {error}")
            return ()
        return user.role.all if user and user.mark == userDetails.get(MARK) else ()


class ListedRoles(RolesFromBase):
    """Of those whom somebody else knows, by what `roles:` says. Who came in another way than is configured has none."""

    def __init__(self, way: str, roles: Mapping[Role, People]) -> None:
        super().__init__()
        self._way = way
        emails = {str(role): [*people.emails] for role, people in roles.items()}
        domains = {str(role): [*people.domains] for role, people in roles.items()}
        self._matchers: list[RolesFromBase] = [RolesFromEmails(**emails), RolesFromDomain(**domains)]
        for role, people in roles.items():
            self._matchers += [RolesFromUsername([str(role)], [*people.users]), InGroups(str(role), people.groups)]

    def getRolesFromUser(self, userDetails: UserInfo) -> Sequence[str]:
        if userDetails.get(WAY) != self._way:
            return ()
        details = dict(userDetails)
        if "@" not in str(details.get("email", "")):
            # a name, for want of an address (`oauth`): Buildbot takes one like `example.org` for an address there
            details.pop("email", None)
        found = {Role(name) for matcher in self._matchers for name in matcher.getRolesFromUser(details)}
        return tuple({name for role in found for name in role.all})


class InGroups(RolesFromBase):
    """One role, of some groups. Buildbot's RolesFromGroups has it the other way round: a group is a role of its name,
    and who may make a group called `operate` had that role."""

    def __init__(self, role: str, groups: Sequence[str]) -> None:
        super().__init__()
        self._role, self._groups = role, frozenset(groups)

    def getRolesFromUser(self, userDetails: UserInfo) -> Sequence[str]:
        given = userDetails.get("groups")
        groups = {str(group).lower() for group in given} if isinstance(given, list) else set()
        return (self._role,) if groups & self._groups else ()


class OwnerWhoMayBuild(RolesFromOwner):
    """Who asked for a build, as long as that one may ask for builds."""

    def getRolesFromUser(self, userDetails: UserInfo, owner: str | None = None) -> Sequence[str]:
        if Role.BUILD not in self.authz.getRolesFromUser(userDetails):
            return ()
        return super().getRolesFromUser(userDetails, owner)
