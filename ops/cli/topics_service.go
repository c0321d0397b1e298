//go:build !receiver

package cli

// serviceTopics are those about the service.
var serviceTopics = []topic{
	{"exports", "How to get history out, once", `An export is the rows of a tenant between two times, as of the moment of the request.
See how many rows it would have, request it, and follow it:

  cdds export create --tenant acme --all --dry-run
  cdds export create --tenant acme --id handover --all --recipient receiver.pem
  cdds export watch handover --tenant acme

Each id stands for one export: the same command with the same id requests nothing new, and shows
the state of the export. Without --id the command makes a new id. --wait combines create and watch.

  cdds export list --tenant acme --state completed
  cdds export download handover --tenant acme --out received

States: requested, planned, running, then completed, failed or cancelled. A refused
export never began: change the request. A failed one says whether a retry can help.
A tenant may have a quota: exit code 7 says that it is used up. Runs on a schedule: see
cdds help chains. Opening the files: see cdds help receiving.
`},
	{"chains", "How a receiver keeps a copy that stays right", `A job exports on a schedule. With --since-last-run each run carries what changed since
the run before: rows that are new or changed, and removals of those that are gone:

  cdds certificate add receiver.pem --tenant acme --name "Archive team"
  cdds job create --tenant acme --id nightly --title Nightly --daily --at 02:30 --since-last-run --recipient receiver.pem
  cdds job run nightly --tenant acme --wait
  cdds job chain nightly --tenant acme

The runs are a chain: each names the one before and the hash of its manifest, so that a
receiver proves that no run is missing or foreign. cdds sync applies them to a table, in
order and once each, and goes on with --watch:

  cdds sync --tenant acme --job nightly --cert receiver.pem --key receiver.key --signer service.pem --to history.sqlite

A receiver that is new or too far behind begins with a run that holds everything:

  cdds job restart-chain nightly --tenant acme
`},
	{"privacy", "Access requests, erasures and holds", `Export a copy of a person's data, for that person:

  cdds export create --tenant acme --id case-1 --contact c-c261bf0ea6da3bae --all --reason "access request 1" --recipient receiver.pem --wait

A hold keeps data for a court or a regulator. An erasure of held data waits until the
hold is released:

  cdds hold create --tenant acme --id smith --name "Smith v. Acme" --reason "counsel, 1 November" --contact c-c261bf0ea6da3bae
  cdds hold list --tenant acme
  cdds hold release smith --tenant acme

An erasure removes every version of a contact and its interactions, and says which
exports still hold them; --delete-artifacts deletes the files of these, too:

  cdds erase --tenant acme --contact c-c261bf0ea6da3bae --id case-2 --wait

Where two people must release a hold, the first one requests it, and can withdraw the
request with cdds hold withdraw. Who did what is in cdds audit.
`},
	{"ingest", "How records come in, and how to account for each", `Producers publish JSON to the topics cdds.interactions and cdds.contacts. Files are
imported; the lines that are refused go to a file of their own:

  cdds sample interactions --rows 100 > history.jsonl
  cdds import interactions history.jsonl --rejects refused.jsonl

Every published record is exactly one of stored, dead-lettered, void, erased,
aged out or written off. A record that ingest has passed and ClickHouse lacks is missing;
ingest reads it again if Kafka still has it:

  cdds account

A record that cannot be read delays no other: it is a dead letter, with the reason. For
administrators of all tenants cdds letter list shows them, and cdds letter publish
publishes one again once it can be read.
`},
}
