"""Those who are told: Buildbot's own reporters, with what they lack for news that are not of one build.

They take a report without builds (but for GitHub's, which is given what it reads of one); each answers how it went.
"""

from collections.abc import Collection, Mapping, Sequence
from email.message import Message
from email.utils import make_msgid
from io import BytesIO

from buildbot.interfaces import IHttpResponse
from buildbot.process.properties import Interpolate, Properties
from buildbot.reporters.github import GitHubStatusPush
from buildbot.reporters.http import HttpStatusPush
from buildbot.reporters.mail import MailNotifier
from buildbot.util.twisted import async_to_deferred
from pydantic import SecretStr
from twisted.internet import defer
from twisted.internet.ssl import optionsForClientTLS
from twisted.mail.smtp import ESMTPSenderFactory

from ..notifyfile import GitHubAt, MailAt
from .events import ANSWER_OF
from .posting import FINAL, FINAL_OF_ONE, SECONDS, Answer, Post, failed

Report = Mapping[str, object]


class Answering:
    """A reporter that tells how it went."""

    receiver: str
    hidden: Sequence[SecretStr] = ()
    """what must not be told"""
    final: Collection[int] = FINAL
    """statuses of HTTP after which a message is not sent again"""

    async def deliver(self, report: Report) -> Answer:
        """Sends one message."""
        try:
            await super().sendMessage([report])  # type: ignore[misc] # Buildbot's, beside which this is mixed in
            return self.answered()
        except Exception as error:
            return failed(error, self.hidden, self.final)

    def answered(self) -> Answer:
        """What came of the last message. Raises what went wrong, where the reporter did not."""
        raise NotImplementedError

    @async_to_deferred
    async def sendMessage(self, reports: Sequence[Report]) -> None:
        for report in reports:
            answer = await self.deliver(report)
            told = {"letter": report["letter"], "answer": answer}
            self.master.mq.produce((*ANSWER_OF, self.receiver), told)  # type: ignore[attr-defined] # a service's


class Webhook(Answering, HttpStatusPush):
    """Posts JSON to one address."""

    _http: Post

    def checkConfig(self, receiver: str, url: SecretStr, token: SecretStr | None, generators: list[object]) -> None:
        super().checkConfig(serverUrl="", generators=generators)

    @async_to_deferred
    async def reconfigService(
        self, receiver: str, url: SecretStr, token: SecretStr | None, generators: list[object]
    ) -> None:
        self.receiver, self.hidden = receiver, [url, *([token] if token else [])]
        headers = {"User-Agent": "kmodci"}
        if token:
            headers["Authorization"] = f"Bearer {token.get_secret_value()}"
        await super().reconfigService(serverUrl="", headers=headers, generators=generators)
        self._http = Post(self._http, self.master.reactor, url.get_secret_value())

    def answered(self) -> Answer:
        return Answer(is_good=True, said=self._http.said)


class Mail(Answering, MailNotifier):
    """Sends mail, within a time, with certificates checked: Buildbot's waits for ever, and smtps trusts any.

    To one address (`notifyfile.addressees`): of several, those that a server refuses are no error to Twisted.
    """

    def checkConfig(self, receiver: str, at: MailAt, password: SecretStr | None, generators: list[object]) -> None:
        super().checkConfig(fromaddr=at.sender, extraRecipients=list(at.to), generators=generators)

    @async_to_deferred
    async def reconfigService(
        self, receiver: str, at: MailAt, password: SecretStr | None, generators: list[object]
    ) -> None:
        self.receiver, self.hidden, self._at = receiver, [password] if password else [], at
        await super().reconfigService(
            fromaddr=at.sender,
            extraRecipients=list(at.to),
            sendToInterestedUsers=False,
            # no out-of-office note comes back (RFC 3834)
            extraHeaders={"Auto-Submitted": "auto-generated"},
            generators=generators,
        )

    @async_to_deferred
    async def sendMail(self, m: Message, recipients: list[str]) -> None:
        at, done = self._at, defer.Deferred[tuple[int, list[tuple[bytes, int, bytes]]]]()
        m["Message-ID"] = make_msgid(domain=at.sender.rpartition("@")[2])
        password = self.hidden[0].get_secret_value().encode() if self.hidden else None
        factory = ESMTPSenderFactory(
            at.user.encode() or None,
            password,
            at.sender,
            recipients,
            BytesIO(m.as_bytes()),
            done,
            # it is tried again later
            retries=0,
            timeout=SECONDS,
            requireTransportSecurity=at.security == "starttls",
            requireAuthentication=bool(at.user),
            hostname=at.server if at.security == "starttls" else None,
        )
        connect = self.master.reactor
        if at.security == "smtps":
            connect.connectSSL(at.server, at.port_used, factory, optionsForClientTLS(at.server), timeout=SECONDS)
        else:
            connect.connectTCP(at.server, at.port_used, factory, timeout=SECONDS)
        await done

    def answered(self) -> Answer:
        # a refusal of the one address was raised
        return Answer(is_good=True, said="accepted")


class GitHub(Answering, GitHubStatusPush):
    """Sets the status of a commit. Buildbot's logs a traceback for what went wrong, each time, and tells nobody."""

    _http: Post
    # one repository among many is no reason for the others to wait
    final = FINAL_OF_ONE

    def checkConfig(self, receiver: str, at: GitHubAt, token: SecretStr, generators: list[object]) -> None:
        super().checkConfig(token="", generators=generators)

    @async_to_deferred
    async def reconfigService(self, receiver: str, at: GitHubAt, token: SecretStr, generators: list[object]) -> None:
        self.receiver, self.hidden = receiver, [token]
        self._error: Exception | None = None
        context = Interpolate(f"{at.context}/%(prop:module)s")
        await super().reconfigService(
            token=token.get_secret_value(), context=context, baseURL=at.base_url, generators=generators
        )
        self._http = Post(self._http, self.master.reactor)

    @async_to_deferred
    async def createStatus(self, **status: object) -> IHttpResponse | None:
        self._error = None
        try:
            return await super().createStatus(**status)
        except Exception as error:
            self._error = error
            return None

    async def try_token(self) -> Answer:
        """Whether the token is taken, where there is no commit to try it with."""
        try:
            await self._http.get("/", headers=await self._get_auth_header(Properties()))
        except Exception as error:
            return failed(error, self.hidden)
        return Answer(is_good=True, said="the token is taken; no status was set")

    def answered(self) -> Answer:
        if self._error is not None:
            raise self._error
        return Answer(is_good=True, said=self._http.said)
