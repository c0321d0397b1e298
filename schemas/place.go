package schemas

// interactionPlaces is an Interaction with room for what it points to.
type interactionPlaces struct {
	Interaction
	ended, modified Time
	// row leaves the texts out that no table has a column for.
	row bool
}

func (i *interactionPlaces) place(name []byte) (place, bool) {
	switch string(name) {
	case "interaction_id":
		return place{number: 0, text: &i.InteractionID}, true
	case "tenant_id":
		return place{number: 1, text: &i.TenantID}, true
	case "media_type":
		return place{number: 2, text: &i.MediaType}, true
	case "direction":
		return place{number: 3, text: &i.Direction}, true
	case "status":
		return place{number: 4, text: &i.Status}, true
	case "started_at":
		return place{number: 5, time: &i.StartedAt}, true
	case "ended_at":
		return place{number: 6, time: &i.ended, optional: &i.EndedAt}, true
	case "modified_at":
		return place{number: 7, time: &i.modified, optional: &i.ModifiedAt}, true
	case "parent_id":
		return place{number: 8, text: &i.ParentID}, true
	case "thread_id":
		return place{number: 9, text: &i.ThreadID}, true
	case "contact_id":
		return place{number: 10, text: &i.ContactID}, true
	case "agent_id":
		return place{number: 11, text: &i.AgentID}, true
	case "queue":
		return place{number: 12, text: &i.Queue}, true
	case "category":
		return place{number: 13, text: &i.Category}, true
	case "subject":
		return place{number: 14, text: &i.Subject}, true
	case "text":
		return place{number: 15, text: i.unlessRow(&i.Text)}, true
	case "notes":
		return place{number: 16, text: i.unlessRow(&i.Notes)}, true
	case "language":
		return place{number: 17, text: &i.Language}, true
	case "disposition":
		return place{number: 18, text: &i.Disposition}, true
	case "attributes":
		return place{number: 19, pairs: &i.Attributes}, true
	case "attachments":
		return place{number: 20, attachments: &i.Attachments}, true
	case "entity_type":
		return place{number: 21, text: &i.EntityType}, true
	case "subtype":
		return place{number: 22, text: &i.Subtype}, true
	case "external_id":
		return place{number: 23, text: &i.ExternalID}, true
	case "time_shift":
		return place{number: 24, unsure: true}, true
	case "structured_text":
		return place{number: 25, text: i.unlessRow(&i.StructuredText)}, true
	case "structured_text_type":
		return place{number: 26, text: &i.StructuredTextType}, true
	case "subtenant_id":
		return place{number: 27, text: &i.SubtenantID}, true
	case "thread_hash":
		return place{number: 28, text: &i.ThreadHash}, true
	case "can_be_parent":
		return place{number: 29, flag: &i.CanBeParent}, true
	case "creator_app_id":
		return place{number: 30, text: &i.CreatorAppID}, true
	case "is_spam":
		return place{number: 31, flag: &i.IsSpam}, true
	case "web_safe_email_status":
		return place{number: 32, text: &i.WebSafeEmailStatus}, true
	case "category_approved":
		return place{number: 33, flag: &i.CategoryApproved}, true
	case "stopped_reason":
		return place{number: 34, text: &i.StoppedReason}, true
	}
	return place{}, false
}

func (i *interactionPlaces) unlessRow(text *string) *string {
	if i.row {
		return nil
	}
	return text
}

// contactPlaces is a Contact with room for what it points to.
type contactPlaces struct {
	Contact
	modified Time
	// row leaves the text out that no table has a column for.
	row bool
}

func (c *contactPlaces) place(name []byte) (place, bool) {
	switch string(name) {
	case "contact_id":
		return place{number: 0, text: &c.ContactID}, true
	case "tenant_id":
		return place{number: 1, text: &c.TenantID}, true
	case "created_at":
		return place{number: 2, time: &c.CreatedAt}, true
	case "modified_at":
		return place{number: 3, time: &c.modified, optional: &c.ModifiedAt}, true
	case "display_name":
		return place{number: 4, text: &c.DisplayName}, true
	case "first_name":
		return place{number: 5, text: &c.FirstName}, true
	case "last_name":
		return place{number: 6, text: &c.LastName}, true
	case "company":
		return place{number: 7, text: &c.Company}, true
	case "emails":
		return place{number: 8, list: &c.Emails}, true
	case "phones":
		return place{number: 9, list: &c.Phones}, true
	case "language":
		return place{number: 10, text: &c.Language}, true
	case "notes":
		if c.row {
			return place{number: 11}, true
		}
		return place{number: 11, text: &c.Notes}, true
	case "attributes":
		return place{number: 12, pairs: &c.Attributes}, true
	}
	return place{}, false
}
