"""The block `redis`: where the incidents are; all that it says ends in one URL."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator

from config.block import Block
from config.redis_address import NotAnAddress, RedisAddress, encrypted, passwords_in, with_tls
from config.values import SWITCH, CaFile, Host, InvalidValue, Port, RedisUrl, Setting


def _url_of_parts(parts: dict[str, Any]) -> SecretStr:
    address = RedisAddress(nodes=(("localhost", 6379),))
    if parts["host"] is not None:
        nodes = ((parts["host"], parts["port"]),)
        address = RedisAddress(nodes, parts["db"], parts["username"], parts["password"])
    # Who says how the certificate is to be checked wants TLS.
    wanted = parts["tls"] is None and (parts["ca_cert"] or parts["insecure_skip_verify"])
    return SecretStr(with_tls(address.url, tls=True) if wanted else address.url)


def _one_server(cluster: bool) -> bool:
    if cluster:
        raise InvalidValue("incidents and their indexes change in one step, which a cluster can't do")
    return cluster


class Redis(Block):
    """Where the incidents are."""

    host: Annotated[Host | None, Setting("a host name or an IP address, without scheme and port")] = None
    port: Annotated[Port, Setting("a whole number from 1 to 65535")] = 6379
    username: Annotated[str | None, Setting("a text")] = None
    password: Annotated[SecretStr | None, Setting("a text")] = None
    db: Annotated[int, Field(ge=0), Setting("a whole number, 0 or more")] = 0
    tls: Annotated[bool | None, Setting(SWITCH, "REDIS_TLS", variable_wins=True)] = None
    ca_cert: Annotated[
        CaFile | None,
        Setting("a file of certificates (PEM) that can be read here", "REDIS_CA_CERT", variable_wins=True),
    ] = None
    insecure_skip_verify: Annotated[
        bool, Setting(SWITCH, "REDIS_INSECURE_SKIP_VERIFY", variable_wins=True)
    ] = False
    """Any certificate will do."""
    cluster: Annotated[
        bool,
        AfterValidator(_one_server),
        Setting("false; to survive the loss of a server, use Sentinel", "REDIS_CLUSTER", variable_wins=True),
    ] = False
    """A key of the Go edition."""
    # After its parts, from which its default is made.
    url: Annotated[
        RedisUrl,
        Setting(
            "an address such as redis://, rediss:// or sentinel://host:port/0",
            "REDIS_URL",
            variable_wins=True,
        ),
    ] = Field(default_factory=_url_of_parts, validate_default=True)
    """Wins over host, port, user, password and database; may hold a password. In the end TLS is in it too."""

    @field_validator("url", mode="after")
    @classmethod
    def _with_tls(cls, url: SecretStr, info: ValidationInfo) -> SecretStr:
        said = info.data
        try:
            whole = with_tls(
                url.get_secret_value(),
                tls=said.get("tls"),
                ca_cert=said.get("ca_cert"),
                skip_verify=said.get("insecure_skip_verify", False),
            )
        except NotAnAddress as error:
            raise InvalidValue(*error.args) from None
        return SecretStr(whole)

    @property
    def configured(self) -> bool:
        """Whether the configuration says where Redis is; otherwise it is on the local machine."""
        return self.host is not None or "url" in self.model_fields_set

    def found_at(self, url: str) -> Redis:
        """With the address of a Redis that was found, and is still not configured."""
        found = self.model_copy(update={"url": SecretStr(url)})
        found.model_fields_set.discard("url")
        return found

    @property
    def unused(self) -> list[str]:
        """Settings of TLS that do nothing, as the address asks for a connection without it."""
        if encrypted(self.url.get_secret_value()):
            return []
        return [name for name in ("ca_cert", "insecure_skip_verify") if getattr(self, name)]

    def describe(self) -> dict[str, Any]:
        """As in any block; an address that can't hold a secret is shown, to see which Redis it is."""
        url = self.url.get_secret_value()
        plain = {} if "@" in url or list(passwords_in(url)) else {"url": url}
        return super().describe() | plain

    def secrets(self) -> list[str]:
        """The passwords, in each form that a message may have them in; a URL without one is no secret."""
        password = self.password.get_secret_value() if self.password else ""
        found = [password, *passwords_in(self.url.get_secret_value())]
        return list(dict.fromkeys(filter(None, found)))
