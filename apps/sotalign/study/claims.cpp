#include "study/claims.h"

#include <fmt/format.h>

#include <algorithm>

namespace sotalign::app {

namespace {

using Entries = std::vector<StudyEntry>;

bool is_in(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

double mean_recall(const StudyEntry& entry) { return spread(entry.mean_r1).mean; }

/// "+1.2 +- 0.3": with the standard error of the mean difference.
std::string signed_percent(const Spread& difference) {
  std::string text = fmt::format("{:+.1f}", 100 * difference.mean);
  if (difference.seeds > 1) text += fmt::format(" +- {:.1f}", 100 * difference.error);
  return text;
}

/// "SOTAlign 15.2 +- 0.4, SAIL 12.1 +- 0.3, difference +3.0 +- 0.5"
std::string compared(const std::string& name, const StudyEntry& entry, const std::string& other_name,
                     const StudyEntry& other) {
  return fmt::format("{} {}, {} {}, difference {}", name, percent(entry.mean_r1), other_name,
                     percent(other.mean_r1), signed_percent(difference(entry, other)));
}

/// Adds a comparison: the claim wants `ours` above `other`.
void judge(StudyClaim& claim, const StudyEntry& ours, const StudyEntry& other) {
  const Decided decided = decide(difference(ours, other));
  const Verdict verdict = decided == Decided::kAbove   ? Verdict::kHolds
                          : decided == Decided::kBelow ? Verdict::kFails
                                                       : Verdict::kUndecided;
  claim.verdict = std::max(claim.verdict, verdict);
}

/// The best of the candidates; null if there are none.
const StudyEntry* best(const std::vector<const StudyEntry*>& candidates) {
  const auto found = std::max_element(candidates.begin(), candidates.end(), [](const auto* a, const auto* b) {
    return mean_recall(*a) < mean_recall(*b);
  });
  return found == candidates.end() ? nullptr : *found;
}

StudyClaim best_divergence(const StudyPlan::Teachers& section, const Entries& entries) {
  StudyClaim claim{.text = fmt::format("{} is the best divergence for every teacher", section.proposed)};
  for (const std::string& teacher : section.teachers) {
    const StudyEntry& ours = *find_entry(entries, "teachers", teacher, section.proposed);
    std::vector<const StudyEntry*> others;
    for (const std::string& divergence : section.divergences)
      if (divergence != section.proposed)
        others.push_back(find_entry(entries, "teachers", teacher, divergence));
    const StudyEntry* other = best(others);
    if (other == nullptr) continue;
    judge(claim, ours, *other);
    claim.figures.push_back(fmt::format(
        "{}: {}", teacher,
        compared(section.proposed, ours, fmt::format("best other ({})", other->cell->column), *other)));
  }
  return claim;
}

/// `unpaired`: kAll or kDisjoint.
StudyClaim above_baselines(const StudyPlan::Methods& section, const std::string& proposed,
                           UnpairedRows::Kind unpaired, const Entries& entries) {
  const bool disjoint = unpaired == UnpairedRows::Kind::kDisjoint;
  StudyClaim claim{.text = fmt::format(
                       "{} beats every other method {}", proposed,
                       disjoint ? "where no unpaired row has its counterpart" : "at every number of pairs")};
  for (const int64_t pairs : disjoint ? section.disjoint : section.pairs) {
    std::string column = fmt::format("{}", pairs);
    if (disjoint) column = disjoint_name(column);
    const StudyEntry* ours = find_entry(entries, "methods", proposed, column);
    if (ours == nullptr) continue;  // left out for lack of rows
    std::vector<const StudyEntry*> others;
    for (const StudyMethod& method : section.methods)
      if (!is_in(section.proposed, method.name))
        others.push_back(find_entry(entries, "methods", method.name, column));
    const StudyEntry* other = best(others);
    if (other == nullptr) continue;
    judge(claim, *ours, *other);
    claim.figures.push_back(
        fmt::format("{} pairs: {}", pairs,
                    compared(proposed, *ours, fmt::format("best other ({})", other->cell->row), *other)));
  }
  return claim;
}

StudyClaim worth_more_pairs(const StudyPlan::Methods& section, const std::string& proposed, int64_t times,
                            const Entries& entries) {
  StudyClaim claim{
      .text = fmt::format("{} beats {} with {} times the pairs", proposed, section.worth.name, times)};
  for (const int64_t pairs : section.pairs) {
    const std::string column = fmt::format("{}", pairs);
    const StudyEntry* other = find_entry(entries, "methods", worth_row(section, times), column);
    if (other == nullptr) continue;
    const StudyEntry& ours = *find_entry(entries, "methods", proposed, column);
    judge(claim, ours, *other);
    claim.figures.push_back(compared(fmt::format("{} with {} pairs", proposed, pairs), ours,
                                     fmt::format("{} with {}", section.worth.name, times * pairs), *other));
  }
  return claim;
}

StudyClaim never_hurts(const Entries& entries) {
  StudyClaim claim{.text = "more unpaired rows help at every step"};
  const StudyEntry* last = nullptr;
  for (const StudyEntry& entry : entries) {
    if (entry.cell->section != "unpaired" || entry.cell->unpaired.is_shifted()) continue;
    if (last != nullptr) {
      judge(claim, entry, *last);
      claim.figures.push_back(
          compared(fmt::format("{} unpaired rows", entry.cell->row), entry, last->cell->row, *last));
    }
    last = &entry;
  }
  return claim;
}

bool was_run(const Entries& entries, const std::string& section) {
  return std::any_of(entries.begin(), entries.end(),
                     [&](const StudyEntry& entry) { return entry.cell->section == section; });
}

}  // namespace

std::string to_string(Verdict verdict) {
  return verdict == Verdict::kHolds ? "holds" : verdict == Verdict::kFails ? "fails" : "undecided";
}

std::string percent(const std::vector<double>& values) {
  const Spread result = spread(values);
  std::string text = fmt::format("{:.1f}", 100 * result.mean);
  if (values.size() > 1) text += fmt::format(" +- {:.1f}", 100 * result.deviation);
  return text;
}

std::vector<StudyClaim> study_claims(const StudyPlan& plan, const Entries& entries) {
  std::vector<StudyClaim> claims;
  if (was_run(entries, "methods"))
    for (const std::string& proposed : plan.methods->proposed) {
      for (const UnpairedRows::Kind unpaired : {UnpairedRows::Kind::kAll, UnpairedRows::Kind::kDisjoint})
        claims.push_back(above_baselines(*plan.methods, proposed, unpaired, entries));
      for (const int64_t times : plan.methods->worth_times)
        claims.push_back(worth_more_pairs(*plan.methods, proposed, times, entries));
    }
  if (was_run(entries, "teachers")) claims.push_back(best_divergence(*plan.teachers, entries));
  if (was_run(entries, "unpaired")) claims.push_back(never_hurts(entries));
  std::erase_if(claims, [](const StudyClaim& claim) { return claim.figures.empty(); });
  return claims;
}

}  // namespace sotalign::app
