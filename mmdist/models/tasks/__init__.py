"""models/tasks"""
