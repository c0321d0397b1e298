package main

// hidden are the mechanisms that keep what a field policy hides out of exports.
var hidden = []mutation{
	{
		"privacy", "a completed export under a field policy is reported by whoever takes it over",
		"pipeline/receipts.go", "if of.Bytes != r.parts[of.Number-1].Bytes {", "if of.StoredBytes > 0 {",
		"ops/proof/simulate", "TestACompletedExportUnderAFieldPolicyIsReportedThoughItsWorkerDied",
	}, {
		"privacy", "a member that is left out is not there",
		"schemas/redactline.go", "case n.rule.Action == FieldLeaveOut:\n\t\treturn false, l.skip()", "case n.rule.Action == FieldLeaveOut:\n\t\treturn true, l.copy()",
		"schemas", "TestARedactionIsThatOfTheModel",
	}, {
		"privacy", "a member spelled with escapes is the same member",
		"schemas/redactline.go", "name = []byte(unquote(quoted))", "_ = unquote",
		"schemas", "TestARowShowsWhatThePolicyLeaves",
	}, {
		"privacy", "two tenants share no pseudonym",
		"schemas/pseudonym.go", `"/v2\x00" + tenantID`, `"/v1\x00"`,
		"schemas", "TestAPseudonymIsTheHMACUnderTheKeyOfTheTenant",
	}, {
		"privacy", "a rule within another rule's member is refused",
		"schemas/fieldrules.go", `if n.rule.Action != "" {`, "if false {",
		"schemas", "TestAFieldPolicyReportsEachBrokenRule",
	}, {
		"privacy", "a policy does not name unknown members unless it says so",
		"schemas/fieldrules.go", "case UnknownKeep:\n\t\treturn nil", "case UnknownKeep, \"\":\n\t\treturn nil",
		"schemas", "TestAFieldPolicyReportsEachBrokenRule",
	}, {
		"privacy", "the manifest states a filter by pseudonyms as pseudonyms",
		"pipeline/manifest.go", "Filter: x.shownFilter(), Topic", "Filter: x.Filter, Topic",
		"consumers/export", "TestNothingOfPlantedPersonalDataIsInAnExportThatHidesIt",
	}, {
		"privacy", "removals have the pseudonyms of the rows that they remove",
		"pipeline/fieldpolicy.go", "schemas.Encode(x.redaction.Removal(r))", "schemas.Encode(r)",
		"consumers/export", "TestNothingOfPlantedPersonalDataIsInAnExportThatHidesIt",
	}, {
		"privacy", "the index of attachments has the pseudonyms of its rows",
		"pipeline/attachments.go", "x.shownLine(a.line())", "a.line()",
		"consumers/export", "TestNothingOfPlantedPersonalDataIsInAnExportThatHidesIt",
	}, {
		"privacy", "a problem of an attachment does not quote what is hidden",
		"pipeline/attachments.go", "line = z.of.shownProblem(line)", "_ = z.of.shownProblem",
		"consumers/export", "TestNothingOfPlantedPersonalDataIsInAnExportThatHidesIt",
	}, {
		"privacy", "an export is made with the key that it was accepted under",
		"pipeline/fieldpolicy.go", "if key.ID() != x.PolicyKeyID {", "if false {",
		"consumers/export", "TestAnExportWhoseKeyIsLostFailsAndIsCompletedOnceItIsBack",
	}, {
		"privacy", "a chain under another policy starts over",
		"pipeline/continued.go", "case previous.FieldPolicy != a.policy():", "case false:",
		"consumers/export", "TestAChainUnderAnotherPolicyOrKeyStartsOver",
	}, {
		"privacy", "an older worker does not ignore a policy",
		"schemas/request.go", "len(r.Contacts) > 0 || r.FieldPolicy != nil", "len(r.Contacts) > 0",
		"schemas", "TestTheOrderOfRulesDoesNotCount",
	}, {
		"privacy", "copies under other names are made of what the policy shows",
		"pipeline/fieldpolicy.go", "if shown, err = redact(shown[:0], line); err != nil {", "if shown = append(shown[:0], line...); redact == nil {",
		"consumers/export", "TestNothingHiddenIsInAnExportUnderAnotherName",
	}, {
		"privacy", "a member of an event under another name gives way to the copy",
		"schemas/fieldnames.go", "if theirs {\n\t\t\treturn\n\t\t}\n\t\tif i >= 0 {", "if i >= 0 && !theirs {",
		"schemas", "TestWhatAPolicyHidesHasNoOtherName",
	}, {
		"privacy", "a policy that names a copy is refused",
		"schemas/fieldpolicy.go", "if i, theirs := names.place([]byte(tokens[0])); theirs {", "if i, theirs := names.place([]byte(tokens[0])); theirs && i < 0 {",
		"schemas", "TestAPolicyDoesNotNameACopy",
	}, {
		"privacy", "a chain whose rows get other names starts over",
		"pipeline/continued.go", "case previous.Names != r.Names:", "case false:",
		"consumers/export", "TestAChainWhoseRowsGetOtherNamesStartsOver",
	},
}
