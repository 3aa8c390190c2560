"""Who may ask a project's servers: nobody has to say who he is, or Kubernetes or an issuer of OpenID Connect knows."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from featureplane.model.base import Found, Items, Model, distinct, kubernetes, refuse, rule, shown
from featureplane.model.open_values import Options

# Keys over a network that is not protected are anybody's; on the loopback there is nobody else. No user and password.
URL_PATTERN = (
    r"^(https://[A-Za-z0-9._-]+|http://(localhost|127\.0\.0\.1))(:[0-9]{1,5})?(/[A-Za-z0-9._~:/%+,;=&()!*?-]*)?$"
)
# No space, and no `$`, which Feast would expand.
WORD_PATTERN = r"^[A-Za-z0-9._~:/%+,;=&()!*?@|-]+$"
FILE_PATTERN = r"^/[A-Za-z0-9._/=-]+$"

# What Feast calls the fields that are typed here.
_TYPED = {
    "auth_discovery_url": "issuer or discoveryUrl",
    "audience": "audience",
    "issuer": "issuer",
    "client_id": "clientId",
    "ca_cert_path": "caFile",
}

Url = Annotated[str, Field(max_length=512, pattern=URL_PATTERN)]
Word = Annotated[str, Field(min_length=1, max_length=256, pattern=WORD_PATTERN)]
_SET = Field(max_length=64, json_schema_extra=kubernetes(list_type="set"))
Roles = Annotated[Items[Annotated[Word, Field(description="A role.")]], _SET, AfterValidator(distinct)]


class KubernetesAuth(Model):
    """How tokens of Kubernetes are looked at."""

    audiences: Annotated[Items[Annotated[Word, Field(description="An audience.")]], _SET, AfterValidator(distinct)] = ()
    """Audiences of which a token must be for one. Left out: the API server's own, which the token of every
    ServiceAccount is for, and Feast's SDK sends. With one of your own, what a client sends opens this server alone; the
    remote registry and offline servers, which are Feast's, do not take it."""


class OidcAuth(Model):
    """The issuer of tokens, and what has to be in them."""

    issuer: Url
    """The issuer, as tokens have it in `iss`: https, or http on the loopback."""
    audience: Word
    """What tokens must have in `aud`."""
    discovery_url: Url | None = None
    """Where the issuer describes itself; left out: `.well-known/openid-configuration` below the issuer."""
    ca_file: Annotated[str, Field(max_length=256, pattern=FILE_PATTERN)] | None = None
    """File in the pods with the certificate authority of the issuer, in PEM, mounted by podTemplate; left out: those of
    the system."""
    client_id: Word | None = None
    """The client whose roles count, `resource_access.<clientId>.roles` as Keycloak writes them, beside those of
    rolesClaim."""
    roles_claim: Word = "roles"
    """Claim with the roles: a list, or a text with spaces between them, as `scope` is. A dot leads into an object,
    unless a claim has the whole name. Feast's own servers know `roles` alone."""
    readers: Roles = ()
    """Roles that may read; left out: whoever has a token for the audience."""
    writers: Roles = ()
    """Roles that may write, and read; left out: nobody writes."""

    def feast_options(self) -> dict[str, str]:
        """The same in Feast's words (feast/permissions/auth_model.py, `OidcAuthConfig`)."""
        found = {
            "auth_discovery_url": self.discovery,
            "issuer": self.issuer,
            "audience": self.audience,
            "client_id": self.client_id,
            "ca_cert_path": self.ca_file,
        }
        return {name: value for name, value in found.items() if value is not None}

    @property
    def discovery(self) -> str:
        """URL of the issuer's description (OpenID Connect Discovery 1.0, section 4)."""
        return self.discovery_url or f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"


class Auth(Model):
    """Who may ask."""

    model_config = ConfigDict(
        json_schema_extra=kubernetes(
            validations=[
                rule("(has(self.type) && self.type == 'oidc') == has(self.oidc)", "oidc goes with type oidc"),
                rule(
                    "!has(self.kubernetes) || (has(self.type) && self.type == 'kubernetes')",
                    "kubernetes goes with type kubernetes",
                ),
            ]
        )
    )

    type: Literal["none", "kubernetes", "oidc"] = "none"
    """How clients show who they are: not at all, by a token of Kubernetes, or by one of an OpenID Connect issuer."""
    kubernetes: KubernetesAuth | None = None
    """With type kubernetes: which tokens are taken. Who may read may `get` the subresource `features` of this
    FeastProject (group featureplane.dev), who may write may `update` it."""
    oidc: OidcAuth | None = None
    """With type oidc: whose tokens are taken, and who may read and write."""
    options: Options = Field(default_factory=dict)
    """Further options of Feast's for its own servers, with this type of authentication."""

    @model_validator(mode="after")
    def _parts_go_with_the_type(self) -> Self:
        refuse(self._problems())
        return self

    def _problems(self) -> list[Found]:
        found: list[Found] = []
        if self.type == "oidc" and self.oidc is None:
            found.append((("oidc",), "is missing", "say which issuer's tokens are taken: issuer and audience"))
        if self.type != "oidc" and self.oidc is not None:
            found.append((("oidc",), f"goes with type oidc, not {self.type}", "write type: oidc, or leave it out"))
        if self.type != "kubernetes" and self.kubernetes is not None:
            remedy = "write type: kubernetes, or leave it out"
            found.append((("kubernetes",), f"goes with type kubernetes, not {self.type}", remedy))
        if self.type == "oidc":
            found += [
                (("options", name), f"{shown(name)} has a field of its own", f"write oidc.{_TYPED[name]}")
                for name in sorted(_TYPED.keys() & self.options.keys())
            ]
        return found
