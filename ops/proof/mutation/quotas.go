package main

// quotas are the mechanisms that bound what a tenant may have.
var quotas = []mutation{
	{
		"fairness", "a quota bounds the open exports of a tenant",
		"pipeline/quota.go", "u.Open >= u.Exports", "u.Open > u.Exports",
		"consumers/export", "TestATenantHasAsManyOpenExportsAsItsQuotaAllowsWhicheverWorkerDecides",
	}, {
		"fairness", "what is accepted is open before the next request of the tenant is counted",
		"consumers/export/accept.go", "defer w.admitOne(b, r.Event.TenantID)()", "w.admitOne(b, r.Event.TenantID)()",
		"consumers/export", "TestOfManyRequestsReadTogetherTheQuotaAcceptsAsManyAsItAllows",
	}, {
		"fairness", "a quota bounds the bytes of a day",
		"pipeline/quota.go", "u.Sealed >= u.Bytes", "u.Sealed > u.Bytes",
		"consumers/export", "TestATenantWhoseExportsOfTodayHaveTheBytesOfItsQuotaIsRefusedUntilTomorrow",
	}, {
		"fairness", "requests are decided without history",
		"pipeline/quota.go", "Quota{Exports: q.Of(tenantID).Exports}", "q.Of(tenantID)",
		"consumers/export", "TestWhatIsRequestedAndCancelledNeedsNoHistoryWhereBytesAreBounded",
	}, {
		"fairness", "an export that has a plan began",
		"consumers/export/run.go", "err != nil || began {", "err != nil || began && false {",
		"consumers/export", "TestAnExportThatBeganIsCarriedOutWhateverItsTenantHasSealedMeanwhile",
	}, {
		"fairness", "whether an attempt is within the quota of bytes is decided once",
		"pipeline/attempts.go", "exportID)+quotaName(attempt)", "exportID)+quotaName(int(d.Now().UnixNano()))",
		"consumers/export", "TestARetryIsWithinTheQuotaToo",
	}, {
		"fairness", "a retry is bounded by the open exports",
		"consumers/export/control.go", "b.admit(ctx, tenantID, exportID)", "error(nil)",
		"consumers/export", "TestARetryIsWithinTheQuotaToo",
	}, {
		"fairness", "the API refuses what the quota does not allow",
		"ops/admin/quota.go", "err := h.Quotas.AdmitOpen(ctx, h.tenant, \"\")", "err := error(nil)",
		"ops/app", "TestAQuotaIsTheSameForTwoReplicasAndWhoeverPublishes",
	}, {
		"fairness", "what takes the place of an open export is not counted beside it",
		"consumers/export/accept.go", "b.admit(ctx, r.TenantID, instead(r))", "b.admit(ctx, r.TenantID, \"\")",
		"consumers/export", "TestWhatTakesThePlaceOfAnOpenExportIsWithinTheQuota",
	}, {
		"fairness", "a retry is not counted beside the attempt that it follows",
		"consumers/export/control.go", "b.admit(ctx, tenantID, exportID)", "b.admit(ctx, tenantID, \"\")",
		"consumers/export", "TestARetryIsNotCountedBesideTheAttemptThatItFollows",
	}, {
		"fairness", "the day an export began is decided once",
		"consumers/export/run.go", "reason, r.began, err = r.Exporter.", "reason, _, err = r.Exporter.",
		"consumers/export", "TestBytesCountForTheDayOnWhichAnExportBegan",
	}, {
		"fairness", "bytes count for the day an export began, not for that of its request",
		"pipeline/ledger/overview.go", "AND began_at >= ", "AND requested_at >= ",
		"pipeline/ledger", "TestBytesOfExportsAreThoseOfTheDayTheyBegan",
	},
}
