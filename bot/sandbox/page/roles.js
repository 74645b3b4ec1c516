/** What the people of the workspace are there for. */

const ROLES = {
  requester: { badge: "requester", about: "asks" },
  reviewer: { badge: "reviewer", about: "reviews" },
  bystander: { badge: "bystander", about: "looks on" },
  guest: { badge: "guest", about: "is a guest here" },
  foreign: { badge: "other team", about: "belongs to another workspace" },
  deactivated: { badge: "deactivated", about: "has left" },
};

/** A role as a badge and as what a person does: `{badge, about}` ("Alex, who asks"). */
export function roleOf(user) {
  return ROLES[user?.role] ?? { badge: "", about: "is a member here" };
}
