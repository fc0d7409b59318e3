export async function micro() {}
