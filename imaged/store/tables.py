"""The tables of the node database. SQLAlchemy Core, and nothing that only one of SQLite and PostgreSQL knows.

A column that an earlier release did not have may be empty, so that `opening` can add it.
"""

import sqlalchemy as sa

tables = sa.MetaData()

meta = sa.Table("meta", tables, sa.Column("key", sa.String, primary_key=True), sa.Column("value", sa.String))

# What lists ask for comes first: behind columns of many kilobytes SQLite reads all of them to get there.
nodes = sa.Table(
    "nodes",
    tables,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("uuid", sa.String, nullable=False, default="", index=True),
    sa.Column("address", sa.String, unique=True),
    sa.Column("image", sa.String, nullable=False),  # as said of the node itself; empty: its groups say it
    sa.Column("layout", sa.String, nullable=False),  # so are these
    sa.Column("console", sa.String, nullable=False, default=""),
    sa.Column("variables", sa.Text),  # JSON of those that were said of the node itself
    sa.Column("action", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False, default=""),
    sa.Column("stalled", sa.String),  # why an install or update under way must be stuck; NULL: it is not
    sa.Column("begun", sa.Integer),  # installs begun since somebody chose ``action`` or one was carried through
    sa.Column("secure_boot", sa.Boolean),  # as of the inventory; NULL: not known
    sa.Column("secret_hash", sa.String, index=True),  # sha256 of the secret the node proves itself with
    sa.Column("plan_hash", sa.String),
    sa.Column("installing", sa.String),  # exactly which version its plan copies: compute@3
    sa.Column("installed", sa.String),  # exactly which version is on its disks
    sa.Column("updating", sa.String),  # exactly which version an update brings that has not ended: compute@4
    sa.Column("serial", sa.String),  # of the last update that was carried out whole
    sa.Column("planned", sa.String),  # planning.standing.Planned of the last plan of an update that it was given
    sa.Column("updated", sa.Text),  # JSON of model.update.Updated: how the last update ended
    sa.Column("updated_at", sa.Float),
    sa.Column("last_seen", sa.Float),
    sa.Column("drift_at", sa.Float),
    sa.Column("drift_count", sa.Integer),  # how many paths differ, as in drift
    sa.Column("boot_after", sa.Text),  # JSON of the NextBoot that holds after the next network boot; NULL: the same
    sa.Column("boot_with", sa.Text),  # JSON of model.next_boot.NextBoot where ``action`` does not say all
    sa.Column("drift", sa.Text),  # JSON of model.update.Drift, as the node last sent it
    sa.Column("wishes", sa.Text),  # JSON of model.wishes.Wishes for its next install
    sa.Column("host_keys", sa.Text, nullable=False, default=""),  # ssh public host keys, a line each
    sa.Column("installer_key", sa.String),  # ssh public host key of the ramdisk that it is in, or was in last
    sa.Column("inventory", sa.Text),  # JSON, as the agent last sent it
    sa.Column("system", sa.Text),  # JSON of model.system.System: the disks as the plan has them
    sa.Column("touched", sa.Text),  # JSON list of planning.touched.Touch: the files that are the node's own
)

nics = sa.Table(
    "nics",
    tables,
    sa.Column("mac", sa.String, primary_key=True),
    sa.Column("node", sa.ForeignKey("nodes.name", ondelete="CASCADE", onupdate="CASCADE"), nullable=False, index=True),
    sa.Column("position", sa.Integer, nullable=False),
)

groups = sa.Table(
    "groups",
    tables,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("setup", sa.Text),  # JSON of model.setup.Setup, what is said in it
)

members = sa.Table(
    "members",
    tables,
    sa.Column("node", sa.ForeignKey("nodes.name", ondelete="CASCADE", onupdate="CASCADE"), primary_key=True),
    sa.Column("group", sa.ForeignKey("groups.name", ondelete="CASCADE", onupdate="CASCADE"), primary_key=True),
)

node_hosts = sa.Table(
    "node_hosts",
    tables,
    sa.Column("name", sa.ForeignKey("nodes.name", ondelete="CASCADE", onupdate="CASCADE"), primary_key=True),
    sa.Column("host", sa.Text, nullable=False),  # JSON of model.host.Host
)

group_hosts = sa.Table(
    "group_hosts",
    tables,
    sa.Column("name", sa.ForeignKey("groups.name", ondelete="CASCADE", onupdate="CASCADE"), primary_key=True),
    sa.Column("host", sa.Text, nullable=False),
)


def _powers(name: str, owner: str) -> sa.Table:
    return sa.Table(
        name,
        tables,
        sa.Column("name", sa.ForeignKey(owner, ondelete="CASCADE", onupdate="CASCADE"), primary_key=True),
        sa.Column("address", sa.String, nullable=False),
        sa.Column("password", sa.String, nullable=False),
        sa.Column("fingerprint", sa.String, nullable=False),
        sa.Column("verify", sa.Boolean, nullable=False),
    )


node_powers, group_powers = _powers("node_powers", "nodes.name"), _powers("group_powers", "groups.name")

state_runs = sa.Table(
    "state_runs",
    tables,
    sa.Column("node", sa.ForeignKey("nodes.name", ondelete="CASCADE", onupdate="CASCADE"), primary_key=True),
    sa.Column("state", sa.String, primary_key=True),
    sa.Column("run", sa.Text, nullable=False),  # JSON of model.states.StateRun
    sa.Column("trouble", sa.Text),  # of the last run that is over; empty: all went well
)

tokens = sa.Table(
    "tokens",
    tables,
    sa.Column("hash", sa.String, primary_key=True),  # sha256 of a boot script's one-time token that was claimed
    sa.Column("node", sa.ForeignKey("nodes.name", ondelete="CASCADE", onupdate="CASCADE"), nullable=False),
    sa.Column("expires", sa.Float, nullable=False),
    sa.Column("used_by", sa.String),  # sha256 of the secret that the claim chose
)

api_tokens = sa.Table(  # of people and programs for the HTTP API
    "api_tokens",
    tables,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("hash", sa.String, nullable=False, unique=True),
    sa.Column("role", sa.String, nullable=False),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("expires", sa.Float),
    sa.Column("used", sa.Float),
)

users = sa.Table(  # of the web page
    "users",
    tables,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("role", sa.String, nullable=False),
    sa.Column("password", sa.String, nullable=False),  # scrypt:N:r:p:SALT:HASH, the last two in base64
    sa.Column("changed", sa.Float, nullable=False),
)

sessions = sa.Table(  # of users and of tokens, as browsers have them
    "sessions",
    tables,
    sa.Column("hash", sa.String, primary_key=True),  # sha256 of what is in the cookie
    sa.Column("by", sa.String, nullable=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("proof", sa.Float, nullable=False),
    sa.Column("expires", sa.Float, nullable=False),
)

rack = sa.Table(  # that the web page names; there is one row
    "rack",
    tables,
    sa.Column("id", sa.Integer, primary_key=True),  # there is one row
    sa.Column("names", sa.String, nullable=False),
    sa.Column("places", sa.Text, nullable=False),  # JSON
    sa.Column("since", sa.Float),  # machines first seen then or later are named; NULL: none are
    sa.Column("begun", sa.Float),
    sa.Column("who", sa.String, nullable=False, default=""),
    sa.Column("problem", sa.String, nullable=False, default=""),  # why naming has ended before all places were taken
)

media = sa.Table(  # boot media that were made
    "media",
    tables,
    sa.Column("hash", sa.String, primary_key=True),  # sha256 of the token that is on it
    sa.Column("node", sa.ForeignKey("nodes.name", ondelete="CASCADE", onupdate="CASCADE")),  # NULL: for any node
    sa.Column("expires", sa.Float, nullable=False),
)

machines = sa.Table(  # every machine that was seen to network-boot
    "machines",
    tables,
    sa.Column("mac", sa.String, primary_key=True),
    sa.Column("uuid", sa.String, nullable=False, default=""),
    sa.Column("arch", sa.String, nullable=False, default=""),
    sa.Column("vendor_class", sa.String, nullable=False, default=""),
    sa.Column("relay", sa.String, nullable=False, default=""),
    sa.Column("address", sa.String, nullable=False, default=""),
    sa.Column("first_seen", sa.Float, nullable=False),
    sa.Column("last_seen", sa.Float, nullable=False),
    sa.Column("vendor", sa.String),  # SMBIOS strings, as its iPXE or its inventory told them
    sa.Column("product", sa.String),
    sa.Column("serial", sa.String),
    sa.Column("asset", sa.String),
    sa.Column("told", sa.Float),  # when its iPXE did
    sa.Column("inventoried", sa.Float),  # when it sent its inventory
    sa.Column("ignored", sa.Boolean),
    sa.Column("inventory", sa.Text),  # JSON of model.hardware.Inventory
)

places = sa.Table(  # names that somebody collected machines for, so that one that was left over can be named later
    "places",
    tables,
    sa.Column("names", sa.String, primary_key=True),
    sa.Column("places", sa.Text, nullable=False),  # JSON of model.places.Places
    sa.Column("kept", sa.Float, nullable=False),
)

leases = sa.Table(
    "leases",
    tables,
    sa.Column("address", sa.String, primary_key=True),
    sa.Column("mac", sa.String, nullable=False, index=True),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("expires", sa.Float, nullable=False),
)

reports = sa.Table(
    "reports",
    tables,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column(
        "node",
        sa.ForeignKey("nodes.name", ondelete="CASCADE", onupdate="CASCADE"),
        nullable=False,
        index=True,
    ),
    sa.Column("time", sa.Float, nullable=False),
    sa.Column("report", sa.Text, nullable=False),  # JSON of model.report.Report
    sa.Column("phase", sa.String),  # of the report, to find it by
    sa.Column("status", sa.String),
    sqlite_autoincrement=True,  # or the next install of a node would get the numbers of the last one again
)


foreign = sa.Table(  # machines that SystemImager installs, as they told our monitor; see model/foreign.py
    "foreign_machines",
    tables,
    sa.Column("mac", sa.String, primary_key=True),
    sa.Column("first_seen", sa.Float, nullable=False),
    sa.Column("last_seen", sa.Float, nullable=False),
    sa.Column("host", sa.String, nullable=False),
    sa.Column("address", sa.String, nullable=False),
    sa.Column("image", sa.String, nullable=False),
    sa.Column("kernel", sa.String, nullable=False),
    sa.Column("cpu", sa.String, nullable=False),
    sa.Column("status", sa.Float, nullable=False),
    sa.Column("speed", sa.Float, nullable=False),
    sa.Column("trouble", sa.String, nullable=False),
)

keys = sa.Table(  # of encrypted devices; they stay when their node is forgotten
    "keys",
    tables,
    sa.Column("node", sa.String, primary_key=True),
    sa.Column("device", sa.String, primary_key=True),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("text", sa.String, nullable=False),
)

events = sa.Table(  # of changes by people and programs, see store/events.py
    "events",
    tables,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("time", sa.Float, nullable=False),
    sa.Column("who", sa.String, nullable=False),
    sa.Column("what", sa.String, nullable=False),
    sa.Column("subject", sa.String, nullable=False, index=True),
    sa.Column("before", sa.Text, nullable=False),  # JSON of what the change took away
    sa.Column("after", sa.Text, nullable=False),  # JSON of what it put there
)
