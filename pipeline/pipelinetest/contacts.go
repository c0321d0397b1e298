package pipelinetest

import "cdds/schemas"

// RowOf is a contact as the twin keeps it: as an interaction that has what the table of contacts
// has. Its id is its own contact, and it was started when the contact was created.
func RowOf(c *schemas.Contact) *schemas.Interaction {
	return &schemas.Interaction{
		TenantID: c.TenantID, InteractionID: c.ContactID, ContactID: c.ContactID, StartedAt: c.CreatedAt,
		Attributes: c.Attributes, Body: c.Body,
	}
}

// RowsOf is RowOf the contacts of batches.
func RowsOf(batches []schemas.Batch[*schemas.Contact]) (all []schemas.Batch[*schemas.Interaction]) {
	for _, b := range batches {
		of := schemas.Batch[*schemas.Interaction]{Topic: b.Topic, Partition: b.Partition, First: b.First, Next: b.Next}
		for _, r := range b.Records {
			of.Records = append(of.Records, schemas.Record[*schemas.Interaction]{
				Event: RowOf(r.Event), Partition: r.Partition, Offset: r.Offset, Time: r.Time,
			})
		}
		all = append(all, of)
	}
	return all
}

// rowTopics are the topics that have a table of rows.
var rowTopics = []schemas.Topic{schemas.TopicInteractions, schemas.TopicContacts}
